import { describe, expect, test } from 'vitest';
import { remoteError } from '../../../src/client/remote-error.ts';
import { backoffMs, pause, retryDelay } from '../../../src/client/retry.ts';
import { ShoalError } from '../../../src/lib/errors.ts';

const first = { attempts: 1, elapsedMs: 0, answeredBefore: false };

describe('whether a request is sent again', () => {
  test('a busy agent is asked again, but not for ever', () => {
    expect(retryDelay(new ShoalError('ServerBusy'), first, 0.5)).toBe(50);
    expect(retryDelay(new ShoalError('ServerBusy'), { ...first, attempts: 6 }, 0.5)).toBeUndefined();
  });

  test('an agent that never answered is not there; one that did is restarting', () => {
    const gone = new ShoalError('AgentUnreachable', undefined, { SystemError: 'ECONNREFUSED' });
    expect(retryDelay(gone, first, 1)).toBeUndefined();
    expect(retryDelay(gone, { ...first, answeredBefore: true, attempts: 20, elapsedMs: 29_000 }, 1)).toBe(
      5_000,
    );
    expect(retryDelay(gone, { ...first, answeredBefore: true, elapsedMs: 31_000 }, 1)).toBeUndefined();
  });

  test('what has already been waited for is not waited for twice', () => {
    expect(retryDelay(new ShoalError('NoQuorum'), first, 1)).toBeUndefined();
    expect(retryDelay(new ShoalError('OperationTimedOut'), first, 1)).toBeUndefined();
  });

  test('a refusal is final, and so is what is no error of ours', () => {
    expect(retryDelay(new ShoalError('JobExists'), first, 1)).toBeUndefined();
    expect(retryDelay(new TypeError('a bug'), first, 1)).toBeUndefined();
  });

  test('Retry-After is the least that is waited', () => {
    const busy = remoteError(429, { 'retry-after': '3' }, JSON.stringify({ code: 'TooManyRequests' }));
    expect(retryDelay(busy, first, 0)).toBe(3_000);
  });

  test('waits double up to their bound', () => {
    expect([1, 2, 3, 10].map((attempts) => backoffMs(attempts, 1))).toEqual([100, 200, 400, 5_000]);
  });

  test('a pause ends at once when it is aborted', async () => {
    const stop = new AbortController();
    const pending = pause(60_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
    await expect(pause(60_000, stop.signal)).rejects.toThrow('enough');
  });
});
