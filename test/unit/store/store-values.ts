/** Short forms of what the store's tests write and compare. */
import { ShoalError } from '../../../src/lib/errors.ts';
import type { GroupWrite, LogEntry, LogStart, RowWrite, StoreBatch } from '../../../src/store/interface.ts';

export const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));

export const entry = (index: number, term = 1, data = `entry ${index}`): LogEntry => ({
  index,
  term,
  kind: 'command',
  data: text(data),
});

export const entries = (from: number, to: number, term = 1): LogEntry[] =>
  Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term));

export const start = (index: number, term: number): LogStart => ({
  index,
  term,
  configuration: { voters: ['a:1', 'b:2', 'c:3'], learners: ['d:4'] },
});

export const put = (key: string, value: string): RowWrite => ({ kind: 'put', key, value: text(value) });

export const only = (write: GroupWrite): StoreBatch => ({ groups: [write] });

/** Comparable whether the store answers with Buffer or Uint8Array. */
export function plain(
  log: readonly LogEntry[],
): { index: number; term: number; kind: string; data: string }[] {
  return log.map(({ index, term, kind, data }) => ({
    index,
    term,
    kind,
    data: Buffer.from(data).toString(),
  }));
}

export async function collect(
  rows: AsyncIterable<readonly [string, Uint8Array]>,
): Promise<[string, string][]> {
  const pairs: [string, string][] = [];
  for await (const [key, value] of rows) pairs.push([key, Buffer.from(value).toString()]);
  return pairs;
}

/** The ShoalError that `work` fails with. */
export async function failure(work: Promise<unknown>): Promise<ShoalError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ShoalError) return error;
    throw error;
  }
  throw new Error('expected a ShoalError');
}
