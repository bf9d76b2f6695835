import type { Clock, Timer } from '../lib/clock.ts';
import { asShoalError, ShoalError } from '../lib/errors.ts';
import { PEER_REQUESTS_MAX, RPC_TIMEOUT_MS } from '../lib/limits.ts';
import {
  answerFrame,
  cancelFrame,
  type Frame,
  type FrameParts,
  failureFrame,
  requestFrame,
} from './frames.ts';
import type { RequestHandler, RequestOptions } from './interface.ts';

/** A longer timer fires at once in Node. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Gives a frame to the link. */
type Write = (parts: FrameParts) => void;

interface Pending {
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: ShoalError) => void;
  readonly timer: Timer;
  readonly forgetSignal: () => void;
}

/** Requests that this side sent over one link and whose answers it awaits. Every one of them settles. */
export class SentRequests {
  readonly #peer: string;
  readonly #clock: Clock;
  readonly #write: Write;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;

  constructor(peer: string, clock: Clock, write: Write) {
    this.#peer = peer;
    this.#clock = clock;
    this.#write = write;
  }

  send(method: string, payload: Uint8Array, options: RequestOptions = {}): Promise<Uint8Array> {
    const { timeoutMs = RPC_TIMEOUT_MS, signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(this.#cancelled(method, signal));
      if (this.#pending.size >= PEER_REQUESTS_MAX) {
        return reject(
          new ShoalError(
            'TooManyRequests',
            `${PEER_REQUESTS_MAX} requests to ${this.#peer} await an answer.`,
          ),
        );
      }
      const id = this.#freeId();
      const frame = requestFrame(id, method, payload);
      const onAbort = (): void => this.#giveUp(id, this.#cancelled(method, signal));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#pending.set(id, {
        resolve,
        reject,
        timer: this.#clock.after(Math.min(timeoutMs, TIMER_MS_MAX), () =>
          this.#giveUp(id, this.#timedOut(method, timeoutMs)),
        ),
        forgetSignal: () => signal?.removeEventListener('abort', onAbort),
      });
      this.#write(frame);
    });
  }

  onAnswer(id: number, payload: Uint8Array): void {
    this.#take(id)?.resolve(payload);
  }

  onFailure(id: number, error: ShoalError): void {
    this.#take(id)?.reject(error);
  }

  /** The link is gone: whether the peer acted on these requests is not known. */
  fail(error: ShoalError): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(error);
  }

  #giveUp(id: number, error: ShoalError): void {
    const pending = this.#take(id);
    if (pending === undefined) return;
    this.#write(cancelFrame(id));
    pending.reject(error);
  }

  /** An answer whose request was given up meanwhile finds nothing here and is dropped. */
  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    pending.timer.cancel();
    pending.forgetSignal();
    return pending;
  }

  #freeId(): number {
    do this.#nextId = (this.#nextId + 1) >>> 0;
    while (this.#pending.has(this.#nextId));
    return this.#nextId;
  }

  #timedOut(method: string, timeoutMs: number): ShoalError {
    const message = `${this.#peer} did not answer "${method}" within ${timeoutMs} ms.`;
    return new ShoalError('OperationTimedOut', message, { peer: this.#peer, method });
  }

  #cancelled(method: string, signal: AbortSignal | undefined): ShoalError {
    const message = `The request "${method}" to ${this.#peer} was cancelled.`;
    return new ShoalError(
      'OperationTimedOut',
      message,
      { peer: this.#peer, method },
      { cause: signal?.reason },
    );
  }
}

/** Requests of the peer that this side works on. Ids are the peer's. */
export class ReceivedRequests {
  readonly #peer: string;
  readonly #write: Write;
  readonly #handlerOf: (method: string) => RequestHandler | undefined;
  readonly #running = new Map<number, AbortController>();

  constructor(peer: string, write: Write, handlerOf: (method: string) => RequestHandler | undefined) {
    this.#peer = peer;
    this.#write = write;
    this.#handlerOf = handlerOf;
  }

  /** False where the request was turned away because too many run. */
  onRequest(frame: Extract<Frame, { kind: 'request' }>): boolean {
    const { id, method, payload } = frame;
    if (this.#running.size >= PEER_REQUESTS_MAX || this.#running.has(id)) {
      this.#write(failureFrame(id, new ShoalError('TooManyRequests')));
      return false;
    }
    const handler = this.#handlerOf(method);
    if (handler === undefined) {
      this.#write(
        failureFrame(
          id,
          new ShoalError('UnknownMethod', `The peer knows no method "${method}".`, { method }),
        ),
      );
      return true;
    }
    const controller = new AbortController();
    this.#running.set(id, controller);
    this.#run(handler, payload, controller.signal).then((answer) => {
      // Cancelled requests get no answer: the peer has forgotten the id and may use it again.
      if (this.#running.get(id) !== controller) return;
      this.#running.delete(id);
      this.#write(framed(id, answer));
    });
    return true;
  }

  onCancel(id: number): void {
    const controller = this.#running.get(id);
    this.#running.delete(id);
    controller?.abort(new ShoalError('OperationTimedOut', 'The peer cancelled its request.'));
  }

  /** The link is gone: nobody waits for these answers. */
  abort(error: ShoalError): void {
    const controllers = [...this.#running.values()];
    this.#running.clear();
    for (const controller of controllers) controller.abort(error);
  }

  async #run(
    handler: RequestHandler,
    payload: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array | ShoalError> {
    try {
      return await handler(this.#peer, payload, signal);
    } catch (thrown) {
      return asShoalError(thrown);
    }
  }
}

function framed(id: number, answer: Uint8Array | ShoalError): FrameParts {
  if (answer instanceof ShoalError) return failureFrame(id, answer);
  try {
    return answerFrame(id, answer);
  } catch (thrown) {
    return failureFrame(id, asShoalError(thrown));
  }
}
