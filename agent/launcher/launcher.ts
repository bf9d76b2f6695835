/**
 * Starts commands on the other nodes of a multi-instance task, where MPI would use ssh: `serve` in the coordination command
 * leaves a server on each node, and `HOST COMMAND...` has one of them run the command. Both are processes of the task and
 * have its rights and no more; they share a key that the agents of its nodes, and nobody else, can make. It never goes
 * over the wire: the server draws a nonce, and a command comes with its HMAC. What a command writes comes back in the clear.
 */
import { spawn } from 'node:child_process';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import {
  LAUNCHER_COMMAND_LENGTH_MAX,
  LAUNCHER_CONNECTIONS_MAX,
  LAUNCHER_OUTPUT_WAIT_MS,
  LAUNCHER_SILENCE_MS,
} from '../../src/lib/limits.ts';
import { isCode } from '../../src/lib/system-error.ts';

export interface Place {
  readonly address: string;
  readonly port: number;
}

interface Greeting {
  readonly nonce: string;
}
interface Request {
  readonly command: string;
  readonly mac: string;
}
type Answer = { readonly to: 1 | 2; readonly data: string } | { readonly exit: number };

function macOf(key: string, nonce: string, command: string): Buffer {
  return createHmac('sha256', key).update(`${nonce}\n${command}`).digest();
}

function isRight(mac: string, expected: Buffer): boolean {
  const given = Buffer.from(mac, 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function say(socket: Socket, message: Greeting | Request | Answer): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Resolves when it listens. A machine that is known by another's address (NAT) listens on all of its own. */
export async function serve({ address, port }: Place, key: string): Promise<Server> {
  const server = createServer((socket) => answer(socket, key));
  server.maxConnections = LAUNCHER_CONNECTIONS_MAX;
  try {
    await listening(server, { host: address, port });
  } catch (error) {
    if (!isCode(error, 'EADDRNOTAVAIL')) throw error;
    await listening(server, { port });
  }
  return server;
}

function listening(server: Server, where: { readonly host?: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** One connection, one command. */
function answer(socket: Socket, key: string): void {
  const nonce = randomBytes(32).toString('hex');
  let text = '';
  socket.on('error', () => socket.destroy());
  socket.setTimeout(LAUNCHER_SILENCE_MS, () => socket.destroy());
  say(socket, { nonce });
  const onData = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
    const end = text.indexOf('\n');
    if (end === -1) {
      if (text.length > LAUNCHER_COMMAND_LENGTH_MAX) socket.destroy();
      return;
    }
    socket.removeListener('data', onData);
    const command = commandIn(Buffer.from(text.slice(0, end), 'latin1').toString(), nonce, key);
    if (command === undefined) socket.destroy();
    else run(socket, command);
  };
  socket.on('data', onData);
}

/** Undefined for what nobody with the key has asked for here and now. */
function commandIn(line: string, nonce: string, key: string): string | undefined {
  try {
    const { command, mac } = JSON.parse(line) as Partial<Request>;
    if (typeof command !== 'string' || typeof mac !== 'string') return undefined;
    return isRight(mac, macOf(key, nonce, command)) ? command : undefined;
  } catch {
    return undefined;
  }
}

/** As ssh does, it hands the whole of the command to a shell. It is not ended with the connection. */
function run(socket: Socket, command: string): void {
  socket.setTimeout(0);
  socket.resume();
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const [to, stream] of [
    [1, child.stdout],
    [2, child.stderr],
  ] as const)
    stream.on('data', (data: Buffer) => say(socket, { to, data: data.toString('base64') }));
  child.once('error', () => socket.destroy());
  child.once('exit', (code) => {
    const end = (): void => {
      clearTimeout(timer);
      if (!socket.writableEnded) say(socket, { exit: code ?? NO_CODE });
      socket.end();
    };
    // What the command leaves running may keep its outputs open for ever.
    const timer = setTimeout(end, LAUNCHER_OUTPUT_WAIT_MS);
    child.once('close', end);
  });
}

/** Of a command that a signal ended. */
const NO_CODE = 255;

export interface Outputs {
  stdout(data: Buffer): void;
  stderr(data: Buffer): void;
}

/** The command's exit code. Rejects where no server of this key answers there. */
export async function execute(
  { address, port }: Place,
  key: string,
  command: string,
  outputs: Outputs,
): Promise<number> {
  const socket = connect({ host: address, port, timeout: LAUNCHER_SILENCE_MS });
  socket.once('timeout', () => socket.destroy(new Error(`no answer from ${address}:${port}`)));
  const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    let greeted = false;
    for await (const line of lines) {
      const message = JSON.parse(line) as Greeting | Answer;
      if ('nonce' in message && !greeted) {
        greeted = true;
        socket.setTimeout(0);
        say(socket, { command, mac: macOf(key, message.nonce, command).toString('hex') });
      } else if ('exit' in message) return message.exit;
      else if ('to' in message) {
        const data = Buffer.from(message.data, 'base64');
        if (message.to === 1) outputs.stdout(data);
        else outputs.stderr(data);
      }
    }
    if (socket.errored !== null) throw socket.errored;
    throw new Error(`${address}:${port} is no launcher of this task`);
  } finally {
    lines.close();
    socket.destroy();
  }
}
