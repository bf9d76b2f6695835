import { describe, expect, test } from 'vitest';
import { TransferPlan } from '../../../agent/files/transfer-plan.ts';
import { TRANSFER_HOLDER_WINDOW, TRANSFER_WINDOW } from '../../../src/lib/limits.ts';
import { fc } from '../../support/properties.ts';

function planOf(
  chunkCount: number,
  over: Partial<ConstructorParameters<typeof TransferPlan>[0]> = {},
): TransferPlan {
  return new TransferPlan({ self: 'me', chunkCount, skip: () => false, seed: 7, sequential: false, ...over });
}

function bits(chunkCount: number, held: (chunk: number) => boolean): Uint8Array {
  const field = new Uint8Array(Math.ceil(chunkCount / 8));
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    if (held(chunk)) field[chunk >> 3] = (field[chunk >> 3] ?? 0) | (1 << (chunk & 7));
  }
  return field;
}

/** What one holder does with what it is asked for. */
type Conduct = 'gives' | 'missing' | 'fails' | 'lies';

describe('whatever the holders do', () => {
  const conduct = fc.constantFrom<Conduct>('gives', 'gives', 'gives', 'missing', 'fails', 'lies');

  test('every chunk arrives once, from a holder that has it, inside the windows, as long as one honest source is there', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.boolean(),
        fc.array(
          fc.tuple(
            fc.constantFrom('source' as const, 'fellow' as const),
            fc.integer({ min: 0, max: 3 }),
            conduct,
          ),
          { maxLength: 8 },
        ),
        fc.integer(),
        (chunkCount, sequential, others, seed) => {
          const plan = planOf(chunkCount, { sequential, seed, skip: (chunk) => chunk % 5 === 4 });
          const holds = new Map<string, (chunk: number) => boolean>([['honest', () => true]]);
          const acts = new Map<string, Conduct>([['honest', 'gives']]);
          plan.setHolder('honest', 'source', 'all', 0);
          for (const [index, [kind, part, act]] of others.entries()) {
            const held = (chunk: number): boolean => chunk % 4 <= part;
            const peer = `other${index}`;
            holds.set(peer, held);
            acts.set(peer, act);
            plan.setHolder(peer, kind, bits(chunkCount, held), 0);
          }
          const arrived = new Set<number>();
          let inFlight: { holder: string; chunk: number }[] = [];
          let nowMs = 0;
          for (let turn = 0; plan.remaining > 0; turn++) {
            if (turn > 20_000) throw new Error(`stuck with ${plan.remaining} chunks to come`);
            for (let pick = plan.pick(nowMs); pick !== undefined; pick = plan.pick(nowMs)) {
              expect(holds.get(pick.holder)?.(pick.chunk)).toBe(true);
              expect(pick.chunk % 5).not.toBe(4);
              expect(inFlight.some(({ chunk }) => chunk === pick.chunk) || arrived.has(pick.chunk)).toBe(
                false,
              );
              inFlight.push(pick);
            }
            expect(inFlight.length).toBe(plan.inFlight);
            expect(inFlight.length).toBeLessThanOrEqual(TRANSFER_WINDOW);
            for (const peer of holds.keys()) {
              expect(inFlight.filter(({ holder }) => holder === peer).length).toBeLessThanOrEqual(
                TRANSFER_HOLDER_WINDOW,
              );
            }
            const next = inFlight.shift();
            nowMs += next === undefined ? 100 : 1;
            if (next === undefined) continue;
            const act = acts.get(next.holder);
            if (act === 'gives') {
              plan.arrived(next.chunk, nowMs);
              arrived.add(next.chunk);
            } else if (act === 'missing') plan.missing(next.holder, next.chunk, nowMs);
            else {
              if (act === 'fails') plan.failed(next.holder, nowMs);
              else plan.expelled(next.holder, nowMs);
              inFlight = inFlight.filter(({ holder }) => holder !== next.holder);
            }
          }
          expect(arrived.size).toBe([...Array(chunkCount).keys()].filter((chunk) => chunk % 5 !== 4).length);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('receivers that know each other ask the source for different chunks, and together for all', () => {
  const names = ['a', 'b', 'c'];
  const asked = names.flatMap((self) => {
    const plan = planOf(30, { self, seed: self.codePointAt(0) ?? 0 });
    plan.setHolder('source', 'source', 'all', 0);
    for (const other of names) if (other !== self) plan.setHolder(other, 'fellow', new Uint8Array(), 0);
    const chunks: number[] = [];
    for (let pick = plan.pick(1); pick !== undefined; pick = plan.pick(1)) {
      chunks.push(pick.chunk);
      plan.arrived(pick.chunk, 1);
    }
    return chunks;
  });
  expect(asked.sort((x, y) => x - y)).toEqual([...Array(30).keys()]);
});

test('what a fellow has is asked of it and not of the source; when it fails, of the source after all', () => {
  const plan = planOf(4);
  plan.setHolder('source', 'source', 'all', 0);
  plan.setHolder(
    'fellow',
    'fellow',
    bits(4, () => true),
    0,
  );
  expect(plan.pick(0)?.holder).toBe('fellow');
  plan.failed('fellow', 0);
  expect(plan.pick(1)?.holder).toBe('source');
});

test('a fellow that says nothing more loses its share, and one that dawdles is not waited for', () => {
  const plan = planOf(40);
  plan.setHolder('source', 'source', 'all', 0);
  plan.setHolder('fellow', 'fellow', new Uint8Array(), 0);
  const drain = (nowMs: number): number => {
    let count = 0;
    for (let pick = plan.pick(nowMs); pick !== undefined; pick = plan.pick(nowMs)) {
      plan.arrived(pick.chunk, nowMs);
      count += 1;
    }
    return count;
  };
  expect(drain(0)).toBe(20);
  plan.announced('fellow', [], 200);
  expect(drain(250)).toBe(0);
  expect(drain(400)).toBe(20);
});

test('the rarest chunk goes first', () => {
  const plan = planOf(20);
  plan.setHolder(
    'one',
    'fellow',
    bits(20, () => true),
    0,
  );
  plan.setHolder(
    'two',
    'fellow',
    bits(20, (chunk) => chunk !== 13),
    0,
  );
  plan.setHolder(
    'three',
    'fellow',
    bits(20, (chunk) => chunk !== 13),
    0,
  );
  const first = new Map<string, number>();
  for (let count = 0; count < 3; count++) {
    const pick = plan.pick(0);
    if (pick !== undefined) first.set(pick.holder, pick.chunk);
  }
  expect(first.get('one')).toBe(13);
});

test('a reader gets its chunks in order and none beyond the horizon', () => {
  const plan = planOf(100, { sequential: true, skip: (chunk) => chunk < 10 });
  plan.setHolder('source', 'source', 'all', 0);
  plan.setHorizon(13);
  const picked: number[] = [];
  for (let pick = plan.pick(0); pick !== undefined; pick = plan.pick(0)) picked.push(pick.chunk);
  expect(picked).toEqual([10, 11, 12]);
  plan.missing('source', 11, 0);
  plan.setHolder('other', 'source', 'all', 0);
  expect(plan.pick(0)).toEqual({ holder: 'other', chunk: 11 });
});

test('chunks are chosen among two million without a look at each', () => {
  const plan = planOf(2_000_000);
  plan.setHolder('source', 'source', 'all', 0);
  for (let fellow = 0; fellow < 10; fellow++)
    plan.setHolder(`f${fellow}`, 'fellow', new Uint8Array(250_000), 0);
  let picks = 0;
  for (; picks < 5_000; picks++) {
    const pick = plan.pick(0);
    if (pick === undefined) break;
    plan.arrived(pick.chunk, 0);
  }
  expect(picks).toBe(5_000);
});
