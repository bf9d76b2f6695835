/** One request to the API: JSON in and out, coded errors, repetition where that is safe. */
import { ShoalError } from '../lib/errors.ts';
import { CLIENT_ANSWER_MS, CLIENT_JSON_BYTES_MAX } from '../lib/limits.ts';
import { remoteError } from './remote-error.ts';
import { pause, retryDelay } from './retry.ts';
import { type Query, withQuery } from './route.ts';
import type { HttpAnswer, HttpRequest, HttpTransport } from './transport.ts';

/** The version of Azure Batch's data plane that the client speaks. */
export const API_VERSION = '2022-10-01.16.0';

const encoder = new TextEncoder();

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface Call extends CallOptions {
  readonly method: HttpRequest['method'];
  /** Percent-encoded; see `route`. */
  readonly path: string;
  readonly query?: Query;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Called anew for each attempt. */
  readonly bytes?: { readonly open: () => AsyncIterable<Uint8Array>; readonly length?: number };
  /** For a stream that may stay silent for as long as a task does. */
  readonly endless?: boolean;
}

export class Caller {
  readonly #transport: HttpTransport;
  #answered = false;

  constructor(transport: HttpTransport) {
    this.#transport = transport;
  }

  get where(): string {
    return this.#transport.where;
  }

  /** The JSON body of a successful answer. */
  async json<T>(call: Call): Promise<T> {
    return (await this.jsonWithHeaders<T>(call)).body;
  }

  async jsonWithHeaders<T>(call: Call): Promise<{ body: T; headers: Readonly<Record<string, string>> }> {
    const answer = await this.stream(call);
    const text = await readText(answer);
    try {
      // What an agent of the mesh answers is trusted to have the shape of its route.
      return { body: JSON.parse(text) as T, headers: answer.headers };
    } catch (cause) {
      throw new ShoalError('InternalError', `${this.where} did not answer with JSON.`, {}, { cause });
    }
  }

  /** A call whose answer has no body worth reading. Returns its headers. */
  async run(call: Call): Promise<Readonly<Record<string, string>>> {
    const answer = await this.stream(call);
    await answer.drain();
    return answer.headers;
  }

  /** A successful answer, its body still to be read (or drained). */
  async stream(call: Call): Promise<HttpAnswer> {
    const json = call.json === undefined ? undefined : encoder.encode(JSON.stringify(call.json));
    const headers = headersOf(call, json?.byteLength);
    const startedMs = performance.now();
    for (let attempts = 1; ; attempts++) {
      try {
        return await this.#attempt(call, headers, json);
      } catch (error) {
        const state = {
          attempts,
          elapsedMs: performance.now() - startedMs,
          answeredBefore: this.#answered,
        };
        const delayMs = retryDelay(error, state, Math.random());
        if (delayMs === undefined) throw error;
        await pause(delayMs, call.signal);
      }
    }
  }

  async #attempt(
    call: Call,
    headers: Readonly<Record<string, string>>,
    json: Uint8Array | undefined,
  ): Promise<HttpAnswer> {
    const body = json ?? call.bytes?.open();
    const answer = await this.#transport.send({
      method: call.method,
      target: withQuery(call.path, call.query ?? {}),
      headers,
      ...(body === undefined ? {} : { body }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
      // An upload is answered when its last byte is stored: its length, not the agent, sets the time.
      ...(call.endless === true || call.bytes !== undefined ? {} : { answerMs: CLIENT_ANSWER_MS }),
      ...(call.endless === true ? {} : { bodyIdleMs: 2 * CLIENT_ANSWER_MS }),
    });
    this.#answered = true;
    if (answer.status < 400) return answer;
    throw remoteError(answer.status, answer.headers, await readText(answer));
  }

  close(): void {
    this.#transport.close();
  }
}

/**
 * Every write carries a request id, the same in each attempt: the mesh answers a repetition as it did the first time,
 * with one effect. That is what makes it safe to repeat a POST.
 */
function headersOf(call: Call, jsonBytes: number | undefined): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (call.method !== 'GET' && call.method !== 'HEAD') {
    headers['shoal-request-id'] = crypto.randomUUID();
  }
  if (jsonBytes !== undefined) {
    headers['content-type'] = 'application/json; odata=minimalmetadata; charset=utf-8';
    headers['content-length'] = String(jsonBytes);
  } else if (call.bytes !== undefined) {
    headers['content-type'] = 'application/octet-stream';
    if (call.bytes.length !== undefined) headers['content-length'] = String(call.bytes.length);
  } else if (call.method === 'POST' || call.method === 'PUT' || call.method === 'PATCH') {
    headers['content-length'] = '0';
  }
  return { ...headers, ...call.headers };
}

async function readText(answer: HttpAnswer): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  for await (const chunk of answer.body) {
    length += chunk.byteLength;
    if (length > CLIENT_JSON_BYTES_MAX) {
      throw new ShoalError('TooLarge', `An answer of more than ${CLIENT_JSON_BYTES_MAX} bytes was cut off.`);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
