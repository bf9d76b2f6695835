import { describe, expect, test } from 'vitest';
import { readEvents } from '../../../src/client/server-sent-events.ts';
import { CLIENT_EVENT_BYTES_MAX } from '../../../src/lib/limits.ts';
import { fc } from '../../support/properties.ts';

async function* pieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function read(text: string, sizes: readonly number[] = []): Promise<{ type: string; data: string }[]> {
  const events: { type: string; data: string }[] = [];
  for await (const { type, data } of readEvents(pieces(Buffer.from(text), sizes)))
    events.push({ type, data });
  return events;
}

describe('a stream of events', () => {
  test('has types, data of several lines, and comments that say nothing', async () => {
    expect(await read(': hello\n\nevent: a\ndata: 1\ndata:2\n\ndata: x\nretry: 5\n\n')).toEqual([
      { type: 'a', data: '1\n2' },
      { type: 'message', data: 'x' },
    ]);
  });

  test('drops an event that its end has cut off', async () => {
    expect(await read('data: whole\n\ndata: ha')).toEqual([{ type: 'message', data: 'whole' }]);
  });

  test.each([
    ['a line', () => `data: ${'x'.repeat(CLIENT_EVENT_BYTES_MAX)}`],
    [
      'an event of many lines',
      () => `data: ${'x'.repeat(1_000)}\n`.repeat(CLIENT_EVENT_BYTES_MAX / 1_000 + 1),
    ],
  ])('that never ends %s is given up', async (_, make) => {
    await expect(read(make())).rejects.toMatchObject({ message: expect.stringContaining('was refused') });
  });

  test('reads the same however it is cut and whatever ends its lines', async () => {
    const lines = fc.array(fc.constantFrom('data: ä€😀', 'event: e', ': c', '', 'id: 7', 'data'), {
      maxLength: 12,
    });
    const end = fc.constantFrom('\n', '\r', '\r\n');
    const cuts = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(lines, end, cuts, async (list, lineEnd, sizes) => {
        const text = list.map((line) => line + lineEnd).join('');
        expect(await read(text, sizes)).toEqual(await read(list.map((line) => `${line}\n`).join('')));
      }),
      { numRuns: 200 },
    );
  });
});
