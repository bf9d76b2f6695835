/**
 * 1 GiB from one agent to another, hashed and stored, against a plain TCP pipe between two processes that hashes too.
 *
 * A put answers when a second machine holds all of the blob as durably as the first. So what passes between its last byte
 * and its answer is the transfer of the whole blob: found, fetched, each chunk verified and synced, settled, named.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import type { LocalAgent, LocalMesh } from '../local-mesh/local-mesh.ts';
import { peakMiB, residentMiB } from './processes.ts';
import { median, type Rows, row } from './report.ts';

const PIECE = 1024 * 1024;

export async function transfer(mesh: LocalMesh, mebibytes: number): Promise<Rows> {
  const source = mesh.alive();
  const before = new Map(mesh.agents.map((agent) => [agent, residentMiB(agent)]));
  const floors = [await plainPipe(mebibytes)];
  const { rate, sha256 } = await copied(source, mebibytes);
  floors.push(await plainPipe(mebibytes));
  const readRate = await readElsewhere(mesh, source, mebibytes, sha256);
  const grown = Math.max(...mesh.agents.map((agent) => peakMiB(agent) - (before.get(agent) ?? 0)));
  await source.client.blobs.deleteContainer('bench');
  const floor = median(floors);
  return {
    transfer: row(
      rate,
      'MiB/s',
      floor,
      `${mebibytes} MiB, agent to agent, verified, synced and named; floor: a TCP pipe that hashes; ratio at least 0.4`,
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
  source: LocalAgent,
  mebibytes: number,
): Promise<{ readonly rate: number; readonly sha256: string }> {
  const pieces = Array.from({ length: 8 }, () => randomBytes(PIECE));
  const hash = createHash('sha256');
  let handedOverAtMs = 0;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let piece = 0; piece < mebibytes; piece += 1) {
      // Every MiB is another one: equal chunks would be stored and sent once.
      const bytes = Buffer.from(pieces[piece % pieces.length] ?? randomBytes(PIECE));
      bytes.writeUInt32LE(piece, 0);
      hash.update(bytes);
      yield bytes;
    }
    handedOverAtMs = performance.now();
  }
  await source.client.blobs.put('bench', 'big', { open: body, length: mebibytes * PIECE }, { create: true });
  const rate = mebibytes / ((performance.now() - handedOverAtMs) / 1000);
  const { length } = await holdersOf(source);
  if (length !== 2) throw new Error(`${length} machines hold the blob`);
  return { rate, sha256: hash.digest('hex') };
}

/** MiB/s of a client that reads the blob at a machine which has to fetch it. */
async function readElsewhere(
  mesh: LocalMesh,
  source: LocalAgent,
  mebibytes: number,
  sha256: string,
): Promise<number> {
  const receiver = await machineWithout(mesh, await holdersOf(source));
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
const [role, size, port] = process.argv.slice(1);
if (role === 'receive') {
  const server = createServer((socket) => {
    const hash = createHash('sha256');
    socket.on('data', (part) => hash.update(part));
    socket.on('end', () => { process.stdout.write(hash.digest('hex')); process.exit(0); });
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\\n'));
} else {
  const piece = Buffer.alloc(1024 * 1024, 7);
  const socket = connect(Number(port), '127.0.0.1');
  let sent = 0;
  const fill = () => { while (sent < Number(size)) { sent += 1; if (!socket.write(piece)) return; } socket.end(); };
  socket.on('drain', fill);
  socket.on('connect', fill);
}`;

/** MiB/s. */
function plainPipe(mebibytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const words = ['--input-type=module', '-e', PIPE];
    const receiver = spawn(process.execPath, [...words, 'receive'], { stdio: ['ignore', 'pipe', 'inherit'] });
    receiver.once('error', reject);
    let startedAtMs = 0;
    receiver.stdout.once('data', (port: Buffer) => {
      startedAtMs = performance.now();
      spawn(process.execPath, [...words, 'send', String(mebibytes), port.toString().trim()], {
        stdio: 'inherit',
      });
    });
    receiver.once('exit', () => resolve(mebibytes / ((performance.now() - startedAtMs) / 1000)));
  });
}
