import { beforeEach, describe, expect, test } from 'vitest';
import { FairShare, type Turn, type TurnRequest } from '../../../src/api/fair-share.ts';
import {
  API_REQUESTS_PER_CALLER_MAX,
  FAIR_DEBT_MS_MAX,
  FAIR_HURRY_MS,
  FAIR_LIGHT_MS,
  FAIR_WAIT_MS_MAX,
  FAIR_WORKING_MAX,
} from '../../../src/lib/limits.ts';
import { Steps } from './steps.ts';

/** CPU time of a request that is light, and of one that is heavy, ms. */
const LIGHT = FAIR_LIGHT_MS / 5;
const HEAVY = 40;

let clock: Steps;
let cpuMs: number;
let fair: FairShare;
beforeEach(() => {
  clock = new Steps();
  cpuMs = 0;
  fair = new FairShare(clock, () => cpuMs);
});

const connections = new Map<string, object>();

/** One for each name. */
function connectionOf(name: string): object {
  const connection = connections.get(name) ?? {};
  connections.set(name, connection);
  return connection;
}

function enter(caller: string, kind: string, extra: Partial<TurnRequest> = {}): Promise<Turn> {
  const { signal } = new AbortController();
  const connection = connectionOf(caller);
  const nature = { isOwner: false, changes: false, searches: false };
  return fair.enter({ caller, connection, kind, signal, ...nature, ...extra });
}

/** Uses the processor and ends. */
async function work(turn: Turn, ms: number, refused = false): Promise<void> {
  cpuMs += ms;
  await clock.pass(ms);
  turn.end(refused);
}

/** Sends requests one after another for as long as `until` is not over; returns how many were handled. */
async function loop(
  until: () => boolean,
  caller: string,
  kind: string,
  ms: number,
  { refused = false, connection = {} }: { refused?: boolean; connection?: object } = {},
): Promise<number> {
  let handled = 0;
  while (!until()) {
    const turn = await enter(caller, kind, { connection }).catch(() => undefined);
    // It could not begin in time.
    if (turn === undefined) continue;
    if (until()) {
      turn.end(false);
      break;
    }
    cpuMs += ms;
    clock.nowMs += ms;
    turn.end(refused);
    handled += 1;
    // The client reads the answer and sends the next request.
    await new Promise<void>((resolve) => clock.after(1, resolve));
  }
  return handled;
}

async function beside(
  loops: readonly { caller: string; kind: string; ms: number; refused?: boolean }[],
  forMs: number,
): Promise<number[]> {
  let over = false;
  const handled = loops.map(({ caller, kind, ms, refused = false }) =>
    loop(() => over, caller, kind, ms, { refused }),
  );
  while (clock.nowMs < forMs) await clock.pass(1);
  over = true;
  await clock.pass(2 * FAIR_WAIT_MS_MAX);
  return Promise.all(handled);
}

const honest = { caller: 'honest', kind: 'get', ms: LIGHT };

describe('an honest client keeps nine tenths of its requests', () => {
  test.each([
    ['heavy reads', { kind: 'list', ms: HEAVY }],
    ['refused requests', { kind: 'bad', ms: LIGHT, refused: true }],
    ['heavy refused ones', { kind: 'worse', ms: HEAVY, refused: true }],
  ])('beside one that sends %s on eight connections', { timeout: 60_000 }, async (_, attack) => {
    const [alone = 0] = await beside([honest], 6_000);
    clock = new Steps();
    fair = new FairShare(clock, () => cpuMs);
    const hostile = Array.from({ length: 8 }, () => ({ caller: 'hostile', ...attack }));
    const [left = 0, ...attacks] = await beside([honest, ...hostile], 6_000);
    expect(left).toBeGreaterThan(0.9 * alone);
    expect(attacks.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  });
});

test.each([
  ['heavy reads', { kind: 'list', ms: HEAVY }],
  ['refused requests', { kind: 'bad', ms: LIGHT, refused: true }],
])(
  'a client keeps most of its requests beside %s of one with the same key',
  { timeout: 60_000 },
  async (_, attack) => {
    const forMs = 15_000;
    const [alone = 0] = await beside([honest], forMs);
    clock = new Steps();
    fair = new FairShare(clock, () => cpuMs);
    const same = Array.from({ length: 8 }, () => ({ caller: honest.caller, ...attack }));
    const [left = 0, ...attacks] = await beside([honest, ...same], forMs);
    expect(left).toBeGreaterThan(0.85 * alone);
    expect(attacks.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  },
);

test('a program that reads both light and heavy things on one connection is not held back', async () => {
  const connection = {};
  let over = false;
  let heavy = 0;
  const program = (async () => {
    while (!over) {
      for (const [kind, ms] of [
        ['get', LIGHT],
        ['list', HEAVY],
      ] as const) {
        const turn = await enter('one', kind, { connection });
        cpuMs += ms;
        clock.nowMs += ms;
        turn.end(false);
        await new Promise<void>((resolve) => clock.after(1, resolve));
      }
      heavy += 1;
    }
  })();
  while (clock.nowMs < 5_000) await clock.pass(1);
  over = true;
  await clock.pass(FAIR_WAIT_MS_MAX);
  await program;
  expect(heavy * (HEAVY + LIGHT + 2)).toBeGreaterThan(0.9 * 5_000);
});

test('a light request does not wait behind heavy or refused ones of its caller', async () => {
  await work(await enter('one', 'get'), LIGHT);
  await work(await enter('one', 'bad'), FAIR_DEBT_MS_MAX / 20, true);
  const waiting = enter('one', 'bad', { connection: {} });
  let begun = false;
  const light = enter('one', 'get').then(() => {
    begun = true;
  });
  await Promise.race([light, waiting]);
  expect(begun).toBe(true);
  await clock.pass(FAIR_WAIT_MS_MAX);
  await waiting;
});

test('a caller that is alone is never held back for what its requests cost', async () => {
  const [handled = 0] = await beside([{ caller: 'alone', kind: 'list', ms: HEAVY }], 10_000);
  expect(handled).toBeGreaterThan(0.9 * (10_000 / (HEAVY + 1)));
});

test('two callers that are both heavy do not hold each other back', async () => {
  const heavy = (caller: string) => ({ caller, kind: 'list', ms: HEAVY });
  const handled = await beside([heavy('one'), heavy('two')], 10_000);
  expect(handled.reduce((sum, count) => sum + count, 0) * HEAVY).toBeGreaterThan(0.9 * 10_000);
});

test('refused requests are slow even for a caller that is alone, but not for the owner of the machine', async () => {
  const [stranger = 0] = await beside([{ caller: 'alone', kind: 'bad', ms: LIGHT, refused: true }], 10_000);
  expect(stranger).toBeLessThan(200);
  let handled = 0;
  const untilMs = clock.nowMs + 10_000;
  while (clock.nowMs < untilMs && handled < 1_000) {
    await work(await enter('owner', 'bad', { isOwner: true }), LIGHT, true);
    handled += 1;
  }
  expect(handled).toBe(1_000);
});

test('while another is in a hurry, few light requests of a caller are handled at once', async () => {
  await work(await enter('many', 'get'), LIGHT);
  await work(await enter('hurried', 'get'), LIGHT);
  const begun: Turn[] = [];
  for (let request = 0; request < 10; request += 1)
    void enter('many', 'get').then((turn) => begun.push(turn));
  await clock.pass(1);
  expect(begun).toHaveLength(FAIR_WORKING_MAX);
  begun.shift()?.end(false);
  await clock.pass(1);
  expect(begun).toHaveLength(FAIR_WORKING_MAX);
  // The others' hurry is over.
  await clock.pass(3 * FAIR_HURRY_MS);
  expect(begun).toHaveLength(9);
});

test('a request that waits for something itself makes room for the next', async () => {
  await work(await enter('many', 'get'), LIGHT);
  let over = false;
  const hurried = loop(() => over, 'hurried', 'get', LIGHT);
  const begun: Turn[] = [];
  for (let request = 0; request < 4; request += 1) void enter('many', 'get').then((turn) => begun.push(turn));
  await clock.pass(10 * FAIR_HURRY_MS);
  expect(begun).toHaveLength(4);
  over = true;
  await clock.pass(10);
  await hurried;
});

test('what a caller may have in progress is bounded', async () => {
  for (let request = 0; request < API_REQUESTS_PER_CALLER_MAX; request += 1)
    void enter('many', 'get', { changes: true });
  await expect(enter('many', 'get')).rejects.toMatchObject({ code: 'TooManyRequests' });
  await expect(enter('other', 'get')).resolves.toBeDefined();
});

test('a request that could not begin in time is refused, and one whose client left is forgotten', async () => {
  const first = await enter('a', 'list');
  await work(first, FAIR_DEBT_MS_MAX);
  let over = false;
  const hurried = loop(() => over, 'hurried', 'get', LIGHT);
  await clock.pass(1);
  // Begins when the debt is low enough, and adds to it.
  const next = enter('a', 'list');
  const late = enter('a', 'list');
  const controller = new AbortController();
  const gone = enter('a', 'list', { signal: controller.signal });
  const outcomes = Promise.all([
    expect(late).rejects.toMatchObject({ code: 'TooManyRequests' }),
    expect(gone).rejects.toThrow('gone'),
  ]);
  controller.abort(new Error('gone'));
  await clock.pass(FAIR_WAIT_MS_MAX + 1);
  await outcomes;
  await expect(next).resolves.toBeDefined();
  over = true;
  await clock.pass(10);
  await hurried;
});
