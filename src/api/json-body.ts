/** A JSON body from outside: bounded in size, time and depth, and free of values that later code could trip over. */
import type { Readable } from 'node:stream';
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import { JSON_DEPTH_MAX } from '../lib/limits.ts';

const decoder = new TextDecoder('utf-8', { fatal: true });
const LONE_SURROGATE = /\p{Surrogate}/u;

/** All bytes of `body`. Rejects with `RequestBodyTooLarge`, `OperationTimedOut` or, cut off by the client, `InvalidRequestBody`. */
export function readBody(
  body: Readable,
  limits: { readonly bytesMax: number; readonly timeoutMs: number; readonly clock: Clock },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let settled = false;
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      timer.cancel();
      body.off('data', take);
      finish();
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > limits.bytesMax) settle(() => reject(tooLarge(limits.bytesMax)));
      else chunks.push(chunk);
    };
    const timer = limits.clock.after(limits.timeoutMs, () =>
      settle(() => reject(new ShoalError('OperationTimedOut', 'The request body did not arrive in time.'))),
    );
    body.on('data', take);
    body.once('end', () => settle(() => resolve(Buffer.concat(chunks, length))));
    body.once('error', (cause) => settle(() => reject(cutOff(cause))));
    body.once('close', () => settle(() => reject(cutOff(undefined))));
  });
}

export function tooLarge(bytesMax: number): ShoalError {
  return new ShoalError('RequestBodyTooLarge', undefined, { MaxLimit: String(bytesMax) });
}

function cutOff(cause: unknown): ShoalError {
  return new ShoalError('InvalidRequestBody', 'The request body ended early.', {}, { cause });
}

/** The value, or undefined where there are no bytes. Throws `InvalidRequestBody` saying what is wrong. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  checkDepth(bytes);
  let value: unknown;
  let text: string;
  try {
    text = decoder.decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? cause.message : 'The text is not valid UTF-8.';
    throw invalidBody(reason.slice(0, 256));
  }
  // In well-formed UTF-8, half a surrogate pair can only be written as an escape.
  inspect(value, text.includes('\\u') ? inspectText : () => undefined);
  return value;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Before the text is parsed: millions of brackets would be millions of arrays by the time that they are counted. */
function checkDepth(bytes: Uint8Array): void {
  let depth = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index];
    if (byte === QUOTE) index = endOfString(bytes, index + 1);
    // `[` and `{`, `]` and `}` differ in one bit.
    else if (byte !== undefined && (byte | 0x20) === 0x7b) depth += 1;
    else if (byte !== undefined && (byte | 0x20) === 0x7d) depth -= 1;
    if (depth > JSON_DEPTH_MAX) throw invalidBody(`Values nest more than ${JSON_DEPTH_MAX} deep.`);
  }
}

/** Where the quote stands that ends the string; behind the last byte where none does. */
function endOfString(bytes: Uint8Array, from: number): number {
  let quote = bytes.indexOf(QUOTE, from);
  while (quote >= 0) {
    let backslashes = 0;
    while (quote - 1 - backslashes >= from && bytes[quote - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
    quote = bytes.indexOf(QUOTE, quote + 1);
  }
  return bytes.length;
}

function invalidBody(reason: string): ShoalError {
  return new ShoalError('InvalidRequestBody', `The request body is not valid. ${reason}`, { Reason: reason });
}

function inspect(value: unknown, checkText: (text: string) => void): void {
  if (typeof value === 'string') checkText(value);
  // JSON.parse reads 1e400 as Infinity, which no integer check expects.
  if (typeof value === 'number' && !Number.isFinite(value)) throw invalidBody('A number is out of range.');
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) inspect(item, checkText);
    return;
  }
  for (const [name, item] of Object.entries(value)) {
    if (name === '__proto__') throw invalidBody("No property may be called '__proto__'.");
    checkText(name);
    inspect(item, checkText);
  }
}

/** Half a surrogate pair cannot be written as UTF-8: it would come back as another text. */
function inspectText(text: string): void {
  if (LONE_SURROGATE.test(text)) throw invalidBody('A text holds half of a surrogate pair.');
}
