import { isErrorCode, ShoalError } from '../lib/errors.ts';
import { ADDRESS_LENGTH_MAX, CHANNEL_BYTES_MAX, FRAME_BYTES_MAX, PEER_ADDRESSES_MAX } from '../lib/limits.ts';

/**
 * Frames of the control stream: a length (four bytes, of what follows), a kind (one byte) and a body. The header is made by
 * hand because it costs a tenth of a general codec's time at 50,000 frames a second; only the rare kinds carry JSON.
 */
export type Frame =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'ping' }
  | { readonly kind: 'pong' }
  | { readonly kind: 'message'; readonly channel: string; readonly payload: Uint8Array }
  | { readonly kind: 'request'; readonly id: number; readonly method: string; readonly payload: Uint8Array }
  | { readonly kind: 'answer'; readonly id: number; readonly payload: Uint8Array }
  | { readonly kind: 'failure'; readonly id: number; readonly error: ShoalError }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'refusal'; readonly error: ShoalError };

/** The first frame in both directions. */
export interface Hello {
  readonly meshId: string;
  /** Of this framing. Another number is refused. */
  readonly protocol: number;
  /** Of the agent. For people; nothing depends on it. */
  readonly software: string;
  /** When the sender's mesh node started, wall-clock milliseconds: tells one life of a peer from the next. */
  readonly boot: number;
  /** Multiaddrs the sender listens on. */
  readonly addresses: readonly string[];
}

/** What the bytes of a peer broke. The link that meets one closes. */
export class BadFrameError extends Error {
  override readonly name = 'BadFrameError';
}

export const CONTROL_PROTOCOL_VERSION = 1;

const LENGTH_BYTES = 4;
/** Kind, id, name length and name: what a frame has beside its payload, at most. */
const OVERHEAD_BYTES_MAX = 1024;
/** Above the largest error that `errorBody` lets through, every character escaped. */
const JSON_BYTES_MAX = 256 * 1024;
/** Payloads below this are copied into their header's buffer: one small copy is cheaper than one more part. */
const INLINE_BYTES_MAX = 8 * 1024;

const KIND = {
  hello: 1,
  ping: 2,
  pong: 3,
  message: 4,
  request: 5,
  answer: 6,
  failure: 7,
  cancel: 8,
  refusal: 9,
} as const;

/** A frame as one or two buffers, to be written one after the other. */
export type FrameParts = readonly Uint8Array[];

export const PING_FRAME: FrameParts = [header(KIND.ping, 0, 0).bytes];
export const PONG_FRAME: FrameParts = [header(KIND.pong, 0, 0).bytes];

export function helloFrame(hello: Hello): FrameParts {
  return jsonFrame(KIND.hello, undefined, hello);
}

/** Throws `TooLarge`. The payload must not change until it is written. */
export function messageFrame(channel: string, payload: Uint8Array): FrameParts {
  return namedFrame(KIND.message, undefined, channel, payload);
}

/** Throws `TooLarge`. */
export function requestFrame(id: number, method: string, payload: Uint8Array): FrameParts {
  return namedFrame(KIND.request, id, method, payload);
}

/** Throws `TooLarge`. */
export function answerFrame(id: number, payload: Uint8Array): FrameParts {
  checkPayload(payload);
  const { bytes, at } = header(KIND.answer, 4, payload.byteLength);
  bytes.writeUInt32BE(id, at);
  return withPayload(bytes, at + 4, payload);
}

export function failureFrame(id: number, error: ShoalError): FrameParts {
  return jsonFrame(KIND.failure, id, errorBody(error));
}

export function cancelFrame(id: number): FrameParts {
  const { bytes, at } = header(KIND.cancel, 4, 0);
  bytes.writeUInt32BE(id, at);
  return [bytes];
}

/** Says why the link is about to be closed, so that the other side need not guess. */
export function refusalFrame(error: ShoalError): FrameParts {
  return jsonFrame(KIND.refusal, undefined, errorBody(error));
}

/** `fixed` bytes of body follow the kind; the buffer has room for the payload too when that is small. */
function header(kind: number, fixed: number, payloadBytes: number): { bytes: Buffer; at: number } {
  const inline = payloadBytes <= INLINE_BYTES_MAX ? payloadBytes : 0;
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + 1 + fixed + inline);
  bytes.writeUInt32BE(1 + fixed + payloadBytes, 0);
  bytes[LENGTH_BYTES] = kind;
  return { bytes, at: LENGTH_BYTES + 1 };
}

function withPayload(bytes: Buffer, at: number, payload: Uint8Array): FrameParts {
  if (payload.byteLength > INLINE_BYTES_MAX) return [bytes, payload];
  bytes.set(payload, at);
  return [bytes];
}

function namedFrame(kind: number, id: number | undefined, name: string, payload: Uint8Array): FrameParts {
  checkPayload(payload);
  const nameBytes = Buffer.byteLength(name);
  if (nameBytes === 0 || nameBytes > CHANNEL_BYTES_MAX)
    throw new ShoalError(
      'TooLarge',
      `The name "${name.slice(0, 40)}" must have 1 to ${CHANNEL_BYTES_MAX} bytes.`,
    );
  const idBytes = id === undefined ? 0 : 4;
  const { bytes, at } = header(kind, idBytes + 1 + nameBytes, payload.byteLength);
  if (id !== undefined) bytes.writeUInt32BE(id, at);
  bytes[at + idBytes] = nameBytes;
  bytes.write(name, at + idBytes + 1);
  return withPayload(bytes, at + idBytes + 1 + nameBytes, payload);
}

function jsonFrame(kind: number, id: number | undefined, value: object): FrameParts {
  const body = Buffer.from(JSON.stringify(value));
  const { bytes, at } = header(kind, id === undefined ? 0 : 4, body.byteLength);
  if (id !== undefined) bytes.writeUInt32BE(id, at);
  return withPayload(bytes, id === undefined ? at : at + 4, body);
}

function checkPayload(payload: Uint8Array): void {
  if (payload.byteLength <= FRAME_BYTES_MAX) return;
  const values = { bytes: String(payload.byteLength), bytesMax: String(FRAME_BYTES_MAX) };
  throw new ShoalError(
    'TooLarge',
    `A payload of ${payload.byteLength} bytes is above the ${FRAME_BYTES_MAX} of one frame.`,
    values,
  );
}

function errorBody(error: ShoalError): object {
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(error.values).slice(0, 32))
    values[key.slice(0, 128)] = value.slice(0, 512);
  return { code: error.code, message: error.message.slice(0, 4096), values };
}

/** Cuts a byte stream into frames, whatever its chunks. Throws `BadFrameError`; the reader is of no use afterwards. */
export class FrameReader {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  /** Bytes that the frame at the head needs, its length field included; 0 while that is unknown. */
  #needed = 0;

  push(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.byteLength;
    if (this.#bytes < Math.max(this.#needed, LENGTH_BYTES)) return;
    // One join per arrived frame, not per chunk: an 8 MiB frame comes in over a hundred chunks.
    const bytes = this.#parts.length === 1 ? asBuffer(chunk) : Buffer.concat(this.#parts, this.#bytes);
    let at = 0;
    this.#needed = 0;
    while (bytes.byteLength - at >= LENGTH_BYTES) {
      const length = bytes.readUInt32BE(at);
      if (length === 0 || length > FRAME_BYTES_MAX + OVERHEAD_BYTES_MAX) {
        throw new BadFrameError(`a frame declares ${length} bytes`);
      }
      if (bytes.byteLength - at < LENGTH_BYTES + length) {
        this.#needed = LENGTH_BYTES + length;
        break;
      }
      onFrame(decodeFrame(bytes.subarray(at + LENGTH_BYTES, at + LENGTH_BYTES + length)));
      at += LENGTH_BYTES + length;
    }
    this.#bytes = bytes.byteLength - at;
    this.#parts = this.#bytes === 0 ? [] : [bytes.subarray(at)];
  }
}

/** One frame without its length field. The payload is a copy: its owner may keep it without pinning the network's buffers. */
export function decodeFrame(bytes: Buffer): Frame {
  const kind = bytes[0];
  switch (kind) {
    case KIND.hello:
      return { kind: 'hello', hello: readHello(readJson(bytes, 1)) };
    case KIND.ping:
      return { kind: 'ping' };
    case KIND.pong:
      return { kind: 'pong' };
    case KIND.message: {
      const [channel, at] = readName(bytes, 1);
      return { kind: 'message', channel, payload: Buffer.from(bytes.subarray(at)) };
    }
    case KIND.request: {
      const id = readId(bytes);
      const [method, at] = readName(bytes, 5);
      return { kind: 'request', id, method, payload: Buffer.from(bytes.subarray(at)) };
    }
    case KIND.answer:
      return { kind: 'answer', id: readId(bytes), payload: Buffer.from(bytes.subarray(5)) };
    case KIND.failure:
      return { kind: 'failure', id: readId(bytes), error: readError(readJson(bytes, 5)) };
    case KIND.cancel:
      return { kind: 'cancel', id: readId(bytes) };
    case KIND.refusal:
      return { kind: 'refusal', error: readError(readJson(bytes, 1)) };
    default:
      throw new BadFrameError(`unknown frame kind ${kind}`);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readId(bytes: Buffer): number {
  if (bytes.byteLength < 5) throw new BadFrameError('a frame ends inside its id');
  return bytes.readUInt32BE(1);
}

function readName(bytes: Buffer, at: number): [name: string, after: number] {
  const length = bytes[at];
  const after = at + 1 + (length ?? 0);
  if (length === undefined || length === 0 || after > bytes.byteLength)
    throw new BadFrameError('a frame ends inside its name');
  return [bytes.toString('utf8', at + 1, after), after];
}

function readJson(bytes: Buffer, at: number): Record<string, unknown> {
  if (bytes.byteLength - at > JSON_BYTES_MAX) throw new BadFrameError('a JSON body is too long');
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8', at));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // V8's message would quote the peer's bytes into our log.
  }
  throw new BadFrameError('a JSON body does not parse');
}

function readHello(value: Record<string, unknown>): Hello {
  const { meshId, protocol, software, boot, addresses } = value;
  const wellFormed =
    typeof meshId === 'string' &&
    typeof protocol === 'number' &&
    typeof software === 'string' &&
    typeof boot === 'number' &&
    Number.isSafeInteger(boot) &&
    boot >= 0 &&
    Array.isArray(addresses);
  if (!wellFormed) throw new BadFrameError('a hello lacks a field');
  const usable = addresses
    .filter(
      (address): address is string => typeof address === 'string' && address.length <= ADDRESS_LENGTH_MAX,
    )
    .slice(0, PEER_ADDRESSES_MAX);
  return { meshId, protocol, software: software.slice(0, 64), boot, addresses: usable };
}

/** A code that this version does not know (the peer is newer) becomes `InternalError`, its message kept. */
function readError(value: Record<string, unknown>): ShoalError {
  const { code, message, values } = value;
  if (typeof code !== 'string' || typeof message !== 'string')
    throw new BadFrameError('an error lacks a field');
  const detail: Record<string, string> = {};
  if (typeof values === 'object' && values !== null) {
    for (const [key, text] of Object.entries(values)) if (typeof text === 'string') detail[key] = text;
  }
  return new ShoalError(isErrorCode(code) ? code : 'InternalError', message, detail);
}
