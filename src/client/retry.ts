/** When a request is sent again, and after how long. */
import { ShoalError } from '../lib/errors.ts';
import {
  CLIENT_ATTEMPTS_MAX,
  CLIENT_BACKOFF_MS,
  CLIENT_BACKOFF_MS_MAX,
  CLIENT_RESTART_WAIT_MS,
} from '../lib/limits.ts';
import { RemoteError } from './remote-error.ts';

export interface RetryState {
  /** Attempts made so far. */
  readonly attempts: number;
  readonly elapsedMs: number;
  /** Whether this client ever had an answer: an agent that never gave one is not there, one that did is restarting. */
  readonly answeredBefore: boolean;
}

/** Milliseconds to wait before the next attempt, or undefined where `error` is final. `random` is in [0, 1). */
export function retryDelay(error: unknown, state: RetryState, random: number): number | undefined {
  if (!(error instanceof ShoalError)) return undefined;
  const backoff = backoffMs(state.attempts, random);
  if (error.code === 'AgentUnreachable') {
    if (state.answeredBefore) return state.elapsedMs < CLIENT_RESTART_WAIT_MS ? backoff : undefined;
    // A kept-alive connection that the agent closed under us, as against a socket that nobody listens on.
    const cut = error.values.SystemError === 'ECONNRESET' || error.values.SystemError === 'EPIPE';
    return cut && state.attempts < CLIENT_ATTEMPTS_MAX ? backoff : undefined;
  }
  // The agent itself has waited out an election before it says so, and our own time-out is longer than that: a
  // repetition would only make the user wait a second time.
  if (error.code === 'OperationTimedOut' || error.code === 'NoQuorum') return undefined;
  if (!error.retryable || state.attempts >= CLIENT_ATTEMPTS_MAX) return undefined;
  const asked = error instanceof RemoteError ? error.retryAfterMs : undefined;
  return Math.max(backoff, asked ?? 0);
}

/** Full jitter: clients that failed together must not come back together. */
export function backoffMs(attempts: number, random: number): number {
  const bound = Math.min(CLIENT_BACKOFF_MS_MAX, CLIENT_BACKOFF_MS * 2 ** Math.max(0, attempts - 1));
  return Math.ceil(bound * random);
}

/** Resolves after `delayMs`, or rejects with the signal's reason. */
export function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
