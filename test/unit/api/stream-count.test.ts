import { describe, expect, test } from 'vitest';
import { StreamCount } from '../../../src/api/app.ts';
import { API_STREAMS_MAX, API_STREAMS_PER_CALLER_MAX } from '../../../src/lib/limits.ts';

const refused = expect.objectContaining({ code: 'TooManyRequests' });

describe('answers without an end', () => {
  test('of one caller are bounded, and leave room for those of others', () => {
    const streams = new StreamCount();
    const closers = Array.from({ length: API_STREAMS_PER_CALLER_MAX }, () => streams.enter('greedy'));
    expect(() => streams.enter('greedy')).toThrowError(refused);
    streams.enter('modest');
    closers[0]?.();
    streams.enter('greedy');
  });

  test('of all callers are bounded, and one that is closed makes room', () => {
    const streams = new StreamCount();
    const close = streams.enter('caller-0');
    for (let open = 1; open < API_STREAMS_MAX; open += 1) streams.enter(`caller-${open}`);
    expect(() => streams.enter('late')).toThrowError(refused);
    close();
    streams.enter('late');
  });
});
