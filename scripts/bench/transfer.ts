/**
 * 1 GiB from one agent to another, hashed and stored, against a plain TCP pipe between two processes that hashes too.
 *
 * A put answers when a second machine holds all of the blob as durably as the first. So what passes between its last byte
 * and its answer is the transfer of the whole blob: found, fetched, each chunk verified and synced, settled, named.
 *
 * Memory that a virtual machine has not used for a while is with its host, and to have it back costs whoever writes a file
 * up to 4 s of CPU for a GiB. The pipe needs none, so what the receiver is going to need is fetched before the clock starts.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LocalAgent, LocalMesh } from '../local-mesh/local-mesh.ts';
import { agentCpuMs, peakMiB, residentMiB } from './processes.ts';
import { median, type Rows, row } from './report.ts';

const PIECE = 1024 * 1024;

export async function transfer(mesh: LocalMesh, mebibytes: number): Promise<Rows> {
  const source = mesh.alive();
  const before = new Map(mesh.agents.map((agent) => [agent, residentMiB(agent)]));
  const floors = [await plainPipe(mebibytes)];
  const { rate, cpuSeconds, sha256 } = await copied(mesh, source, mebibytes);
  floors.push(await plainPipe(mebibytes));
  const readRate = await readElsewhere(mesh, source, mebibytes, sha256);
  const grown = Math.max(...mesh.agents.map((agent) => peakMiB(agent) - (before.get(agent) ?? 0)));
  await source.client.blobs.deleteContainer('bench');
  const floor = median(floors.map((pipe) => pipe.rate));
  return {
    transfer: row(
      rate,
      'MiB/s',
      floor,
      `${mebibytes} MiB, agent to agent, verified, synced and named; floor: a TCP pipe that hashes; ratio at least 0.4`,
    ),
    'transfer, CPU': row(
      (cpuSeconds * 1024) / mebibytes,
      's/GiB',
      (median(floors.map((pipe) => pipe.cpuSeconds)) * 1024) / mebibytes,
      'of all agents together; floor: both ends of the pipe',
    ),
    'transfer, read along': row(
      readRate,
      'MiB/s',
      floor,
      'the same fetched by a third machine for a client that reads it over HTTP meanwhile and hashes it; the same floor',
    ),
    'transfer, memory grown': row(
      grown,
      'MiB',
      128,
      'peak of any agent above its size before; floor: the bound',
    ),
  };
}

/** Puts the blob and tells how fast the second machine got it, MiB/s. */
async function copied(
  mesh: LocalMesh,
  source: LocalAgent,
  mebibytes: number,
): Promise<{ readonly rate: number; readonly cpuSeconds: number; readonly sha256: string }> {
  const pieces = Array.from({ length: 8 }, () => randomBytes(PIECE));
  const hash = createHash('sha256');
  let handedOverAtMs = 0;
  let cpuBefore = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let piece = 0; piece < mebibytes; piece += 1) {
      // Every MiB is another one: equal chunks would be stored and sent once.
      const bytes = Buffer.from(pieces[piece % pieces.length] ?? randomBytes(PIECE));
      bytes.writeUInt32LE(piece, 0);
      hash.update(bytes);
      if (piece === mebibytes - 1) await fetchMemory(mesh.directory, mebibytes);
      yield bytes;
    }
    cpuBefore = cpuSecondsOf(mesh);
    handedOverAtMs = performance.now();
  }
  await source.client.blobs.put('bench', 'big', { open: body, length: mebibytes * PIECE }, { create: true });
  const rate = mebibytes / ((performance.now() - handedOverAtMs) / 1000);
  const cpuSeconds = cpuSecondsOf(mesh) - cpuBefore;
  const { length } = await holdersOf(source);
  if (length !== 2) throw new Error(`${length} machines hold the blob`);
  return { rate, cpuSeconds, sha256: hash.digest('hex') };
}

/** From the machine's host; what is removed stays with this machine for some seconds. */
async function fetchMemory(directory: string, mebibytes: number): Promise<void> {
  const path = join(directory, 'memory');
  const file = await open(path, 'w');
  const piece = Buffer.alloc(PIECE, 7);
  for (let written = 0; written < mebibytes; written += 1) await file.write(piece);
  await file.close();
  await rm(path);
}

function cpuSecondsOf(mesh: LocalMesh): number {
  return mesh.agents.reduce((sum, agent) => sum + agentCpuMs(agent), 0) / 1000;
}

/** MiB/s of a client that reads the blob at a machine which has to fetch it. */
async function readElsewhere(
  mesh: LocalMesh,
  source: LocalAgent,
  mebibytes: number,
  sha256: string,
): Promise<number> {
  const receiver = await machineWithout(mesh, await holdersOf(source));
  await fetchMemory(mesh.directory, mebibytes);
  const startedAtMs = performance.now();
  const answer = await receiver.client.blobs.open('bench', 'big');
  const got = createHash('sha256');
  for await (const part of answer.body) got.update(part as Uint8Array);
  const rate = mebibytes / ((performance.now() - startedAtMs) / 1000);
  if (got.digest('hex') !== sha256) throw new Error('the bytes differ');
  return rate;
}

async function holdersOf(agent: LocalAgent): Promise<readonly string[]> {
  for await (const blob of agent.client.blobs.list('bench')) if (blob.name === 'big') return blob.holders;
  return [];
}

async function machineWithout(mesh: LocalMesh, holders: readonly string[]): Promise<LocalAgent> {
  for (const agent of mesh.agents) {
    const machine = (await mesh.status(agent))?.machine.id;
    if (machine !== undefined && !holders.includes(machine)) return agent;
  }
  throw new Error('every machine holds the blob already');
}

const PIPE = `
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
const before = process.cpuUsage();
const [role, size, port] = process.argv.slice(1);
const end = () => {
  const { user, system } = process.cpuUsage(before);
  process.stdout.write((user + system) / 1e6 + '\\n');
};
if (role === 'receive') {
  const server = createServer((socket) => {
    const hash = createHash('sha256');
    socket.on('data', (part) => hash.update(part));
    socket.on('end', () => { hash.digest('hex'); end(); server.close(); socket.end(); });
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\\n'));
} else {
  const piece = Buffer.alloc(1024 * 1024, 7);
  const socket = connect(Number(port), '127.0.0.1');
  let sent = 0;
  const fill = () => { while (sent < Number(size)) { sent += 1; if (!socket.write(piece)) return; } socket.end(); };
  socket.on('drain', fill);
  socket.on('connect', fill);
  socket.on('close', end);
  socket.resume();
}`;

interface Pipe {
  /** MiB/s. */
  readonly rate: number;
  /** Of both processes. */
  readonly cpuSeconds: number;
}

async function plainPipe(mebibytes: number): Promise<Pipe> {
  const receiver = pipeEnd('receive');
  const port = await receiver.next();
  const startedAtMs = performance.now();
  const sender = pipeEnd('send', String(mebibytes), port);
  const receiverCpu = await receiver.next();
  const rate = mebibytes / ((performance.now() - startedAtMs) / 1000);
  return { rate, cpuSeconds: Number(receiverCpu) + Number(await sender.next()) };
}

/** A process whose output is read line by line. */
function pipeEnd(...words: string[]): { next(): Promise<string> } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PIPE, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async next() {
      const { value, done } = await lines.next();
      if (done === true) throw new Error('the pipe broke off');
      return value;
    },
  };
}
