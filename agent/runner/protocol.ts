import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Packr } from 'msgpackr';
import { ShoalError } from '../../src/lib/errors.ts';
import { RUNNER_FRAME_BYTES_MAX, UNIX_SOCKET_PATH_BYTES_MAX } from '../../src/lib/limits.ts';
import type { ExecutionKey, Exit, IsolationTier, Launch, NodeSetup, Running } from './interface.ts';

/**
 * What an agent and its runner say to each other, over a Unix socket that only their user can reach: frames
 * of a 4-byte big-endian length and a msgpack map. The agent opens with `hello`; the runner answers `welcome`
 * and its state. A runner of another version is not talked to, but killed and replaced: it is of the same
 * machine's former installation.
 */
export const RUNNER_PROTOCOL_VERSION = 2;

/**
 * Environment variables of every process under a runner: how its leftovers are found, whatever became of it.
 */
export const RUNNER_MARK = 'SHOAL_RUNNER';
export const EXECUTION_MARK = 'SHOAL_EXECUTION';

export type ToRunner =
  | { readonly type: 'hello'; readonly version: number }
  | { readonly type: 'configure'; readonly setup: NodeSetup }
  | { readonly type: 'removeNode'; readonly node: string }
  | { readonly type: 'launch'; readonly launches: readonly Launch[] }
  | { readonly type: 'kill'; readonly key: ExecutionKey; readonly graceMs: number }
  /** Granted at `fromMs`, until `deadlineMs`, by the machine's boot time, which both sides share. */
  | { readonly type: 'lease'; readonly lease: string; readonly fromMs: number; readonly deadlineMs: number }
  | { readonly type: 'acknowledge'; readonly keys: readonly ExecutionKey[] }
  | { readonly type: 'ping' }
  | { readonly type: 'shutdown' };

/** Executions that started and that ended since the last report, in that order. */
export interface Report {
  readonly type: 'report';
  readonly started: readonly Running[];
  readonly exits: readonly Exit[];
}

export type FromRunner =
  | { readonly type: 'welcome'; readonly version: number; readonly tier: IsolationTier }
  /** The answer to `hello`, in as many parts as it takes. */
  | {
      readonly type: 'state';
      readonly waiting: readonly ExecutionKey[];
      readonly running: readonly Running[];
      readonly exits: readonly Exit[];
      readonly isLast: boolean;
    }
  | Report
  | { readonly type: 'pong' }
  /** Another agent attached: this connection ends. */
  | { readonly type: 'replaced' };

const packr = new Packr({ useRecords: false, copyBuffers: true });

/** The payload of a frame, or of a journal record. */
export function encodePayload(value: unknown): Buffer {
  return packr.pack(value);
}

export function decodePayload(payload: Uint8Array): unknown {
  return packr.unpack(payload);
}

/** @throws ShoalError TooLarge if the payload exceeds RUNNER_FRAME_BYTES_MAX. */
export function frame(payload: Uint8Array): Buffer {
  if (payload.length > RUNNER_FRAME_BYTES_MAX) {
    throw new ShoalError('TooLarge', `A runner message of ${payload.length} bytes exceeds its bound.`);
  }
  const framed = Buffer.allocUnsafe(4 + payload.length);
  framed.writeUInt32BE(payload.length, 0);
  framed.set(payload, 4);
  return framed;
}

/** Cuts a byte stream into messages, however it was chunked. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** @throws ShoalError TooLarge or InvalidRequestBody: the stream is not one of ours and must be closed. */
  push(chunk: Buffer): unknown[] {
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const messages: unknown[] = [];
    while (bytes.length >= 4) {
      const length = bytes.readUInt32BE(0);
      if (length > RUNNER_FRAME_BYTES_MAX) {
        throw new ShoalError('TooLarge', `A runner frame declares ${length} bytes.`);
      }
      if (bytes.length < 4 + length) break;
      messages.push(decodeMessage(bytes.subarray(4, 4 + length)));
      bytes = bytes.subarray(4 + length);
    }
    this.#pending = bytes;
    return messages;
  }
}

function decodeMessage(payload: Uint8Array): unknown {
  try {
    return decodePayload(payload);
  } catch (error) {
    throw new ShoalError('InvalidRequestBody', 'A runner frame is not msgpack.', {}, { cause: error });
  }
}

/** Sixteen hex digits that name the runner of a data directory. */
export function runnerIdentity(directory: string): string {
  return createHash('sha256').update(directory).digest('hex').slice(0, 16);
}

export interface SocketPlace {
  readonly path: string;
  /** The directory that must exist, private, before the socket can be bound. */
  readonly directory: string;
}

/**
 * Where the socket is: in the runner's directory, or, where that makes a path the kernel does not take (107
 * bytes), in a private directory under the system's temporary one, with the user and the runner's identity in
 * its name.
 */
export function socketPlace(directory: string, temporary: string = tmpdir()): SocketPlace {
  const path = join(directory, 'runner.sock');
  if (Buffer.byteLength(path) <= UNIX_SOCKET_PATH_BYTES_MAX) return { path, directory };
  const user = process.geteuid?.() ?? 0;
  const short = join(temporary, `shoal-${user}-${runnerIdentity(directory)}`);
  return { path: join(short, 'runner.sock'), directory: short };
}
