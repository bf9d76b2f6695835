import { describe, expect, test } from 'vitest';
import { stepsOf } from '../../../agent/main/replay-steps.ts';
import { packRuntime, type RuntimeRow } from '../../../coordinator/core/pool/rows.ts';
import { Flag } from '../../../coordinator/core/pool/task-table.ts';
import { type ReplayVerdict, replayGroup, replicatedGroups } from '../../../coordinator/driver/replay.ts';
import { PoolCourse } from '../../../coordinator/driver/replay-checks.ts';
import type { ReplayStep } from '../../../src/cli/agent-commands.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import type { MemoryDisk } from '../../../src/store/memory-store.ts';
import { openMemoryStore } from '../../../src/store/memory-store.ts';
import { recordMesh, recordPool } from './every-command.ts';
import { LoneHost, type LoneHostOptions } from './lone-host.ts';

async function recorded(options: LoneHostOptions = {}): Promise<MemoryDisk> {
  const host = await LoneHost.start(options);
  await recordMesh(host);
  await recordPool(host);
  await host.stop();
  return host.disk;
}

async function replay(
  disk: MemoryDisk,
  group: GroupId,
  filter: { job?: string; task?: string } = {},
): Promise<{ verdict: ReplayVerdict; steps: readonly ReplayStep[] }> {
  const store = openMemoryStore(disk.copy());
  const steps: ReplayStep[] = [];
  for await (const item of replayGroup(store, group)) {
    if (item.kind === 'entry') steps.push(...stepsOf(item, { job: filter.job, task: filter.task }));
    else {
      await store.close();
      return { verdict: item, steps };
    }
  }
  throw new Error('a replay without a verdict');
}

const said = (steps: readonly ReplayStep[]): string[] =>
  steps.map(({ what, result }) => (result === '' ? what : `${what} -> ${result}`));

describe('a replay', () => {
  test.each(['mesh', 'pool:render'] as const)(
    'of the whole log of %s ends in the state of the replica',
    async (group) => {
      const { verdict } = await replay(await recorded(), group);
      expect(verdict).toMatchObject({
        verdict: 'holds',
        founding: true,
        from: 1,
        problems: [],
        unapplied: 0,
      });
      expect(verdict.to - verdict.from).toBe(verdict.entries);
      expect(verdict.rows).toBeGreaterThan(5);
      expect(verdict.stateHash.replayed).toBe(verdict.stateHash.stored);
    },
  );

  test('tells how a task went: each assignment, report and loss', async () => {
    const { steps } = await replay(await recorded(), 'pool:render', { job: 'movie', task: 'three' });
    expect(said(steps)).toMatchInlineSnapshot(`
      [
        "task.add job=movie tasks=one,two,three,… (5) -> done",
        "assign movie/three to tvm-00000102 -> epoch 15",
        "task.requeued: movie/three waits to run again -> epoch 15 is over",
        "report movie/three epoch 15 from tvm-00000102: exited with 0 -> stale",
        "task.update job=movie task=three -> done",
        "assign movie/three to tvm-00000101 -> epoch 20",
        "task.terminate job=movie task=three -> done",
        "report movie/three epoch 20 from tvm-00000101: killed -> recorded",
        "task.failed: movie/three failed: TaskEnded",
      ]
    `);
  });

  test('names no secret', async () => {
    const disk = await recorded();
    const told = JSON.stringify([
      (await replay(disk, 'mesh')).steps,
      (await replay(disk, 'pool:render')).steps,
    ]);
    expect(told).toContain('"accountKey":"(masked)"');
    expect(told).toContain('{"name":"FRAME","value":"(masked)"}');
    expect(told).not.toContain('a2V5');
  });

  test('begins with a copy of the rows where the log was cut and the record begun anew', async () => {
    const bounds = {
      logKept: { entries: 8, bytes: 2 ** 20 },
      flightRecord: { recordBytes: 1_000, baseBytes: 2 ** 20 },
    };
    const disk = await recorded(bounds);
    for (const group of ['mesh', 'pool:render'] as const) {
      const { verdict } = await replay(disk, group);
      expect(verdict).toMatchObject({ verdict: 'holds', founding: false, problems: [] });
      expect(verdict.from).toBeGreaterThan(1);
      expect(verdict.entries).toBeGreaterThan(8);
    }
  });

  test('goes over entries that were cut from the log, over a restart too', async () => {
    const options = { logKept: { entries: 8, bytes: 2 ** 20 } };
    const first = await LoneHost.start(options);
    await recordMesh(first);
    await first.stop();
    const second = await LoneHost.start(options, first.disk);
    await recordPool(second);
    await second.stop();
    const store = openMemoryStore(first.disk.copy());
    expect((await store.loadGroup('mesh'))?.start.index).toBeGreaterThan(8);
    for (const group of await replicatedGroups(store))
      expect((await replay(first.disk, group)).verdict).toMatchObject({ verdict: 'holds', founding: true });
  });

  test('says that there is none where the state is larger than a record may begin with', async () => {
    const bounds = {
      logKept: { entries: 8, bytes: 2 ** 20 },
      flightRecord: { recordBytes: 500, baseBytes: 200 },
    };
    const { verdict, steps } = await replay(await recorded(bounds), 'pool:render');
    expect(verdict).toMatchObject({ verdict: 'unrecorded', problems: [] });
    expect(steps).toEqual([]);
  });

  test('finds rows that no entry wrote, and those that are lost', async () => {
    const disk = await recorded();
    const store = openMemoryStore(disk);
    const rows = [
      { kind: 'delete', key: 's' },
      { kind: 'put', key: 't/stray', value: Uint8Array.of(192) },
    ] as const;
    await store.write({ groups: [{ group: 'mesh~0', rows }] }, true);
    await store.close();
    const { verdict } = await replay(disk, 'mesh');
    expect(verdict.verdict).toBe('violated');
    expect(verdict.problems.join('\n')).toContain('the replica has lost the row s');
    expect(verdict.problems.join('\n')).toContain('the replica has a row t/stray that no entry wrote');
  });

  test('finds an end in another state than the replica says', async () => {
    const disk = await recorded();
    const store = openMemoryStore(disk);
    const stored = await store.loadGroup('mesh');
    const index = stored?.applied.index ?? 0;
    await store.write({ groups: [{ group: 'mesh', applied: { index, stateHash: 7 } }] }, true);
    await store.close();
    expect((await replay(disk, 'mesh')).verdict).toMatchObject({ verdict: 'violated', problemCount: 1 });
  });

  test('of a record with a gap ends there', async () => {
    const disk = await recorded({ logKept: { entries: 8, bytes: 2 ** 20 } });
    const store = openMemoryStore(disk);
    let first: string | undefined;
    for await (const [key] of store.scanRows('mesh~record', { prefix: '', limit: 1 })) first = key;
    const rows = [{ kind: 'delete', key: first ?? '' }] as const;
    await store.write({ groups: [{ group: 'mesh~record', rows }] }, true);
    await store.close();
    const { verdict } = await replay(disk, 'mesh');
    expect(verdict.verdict).toBe('violated');
    expect(verdict.problems[0]).toContain('the record has a gap');
  });
});

test('a group that is dropped leaves nothing of its record', async () => {
  const host = await LoneHost.start({
    logKept: { entries: 8, bytes: 2 ** 20 },
    flightRecord: { recordBytes: 1_000, baseBytes: 2 ** 20 },
  });
  await recordPool(host);
  expect(
    (await host.store.groups()).filter((name) => name.startsWith('pool:render~base')).length,
  ).toBeGreaterThan(0);
  await host.drop('pool:render');
  expect(await host.store.groups()).toEqual([]);
  await host.stop();
});

describe('the course of a task', () => {
  const KEY = 'x/00000001/00000001';
  const row = (over: Partial<RuntimeRow>) => ({
    kind: 'put' as const,
    key: KEY,
    value: packRuntime({
      state: 'active',
      stateAtMs: 0,
      previousState: undefined,
      previousAtMs: 0,
      version: 1,
      modifiedAtMs: 0,
      epoch: 0,
      node: 'n',
      machine: 'm',
      intent: 0,
      flags: 0,
      retryCount: 0,
      lastRetryAtMs: undefined,
      requeueCount: 0,
      lastRequeueAtMs: undefined,
      startedAtMs: undefined,
      completion: undefined,
      ...over,
    }),
  });
  const applied = (...writes: ReturnType<typeof row>[]) => ({ results: [], writes, events: [], effects: [] });
  const live = { flags: Flag.live };

  test.each([
    [
      'a second live assignment',
      [row({ epoch: 5, ...live })],
      row({ epoch: 6, ...live }),
      'while its execution 5 lives',
    ],
    ['an epoch that falls', [row({ epoch: 5 })], row({ epoch: 4 }), 'falls from 5 to 4'],
    ['an epoch that is not its entry', [], row({ epoch: 4, ...live }), 'under epoch 4 by entry 6'],
    ['a life under an old epoch', [row({ epoch: 5 })], row({ epoch: 5, ...live }), 'under its old epoch 5'],
    [
      'an illegal transition',
      [row({ state: 'completed' })],
      row({ state: 'running' }),
      'from completed to running',
    ],
  ] as const)('shows %s', (_what, before, after, problem) => {
    const course = new PoolCourse();
    for (const { key, value } of before) course.load(key, value);
    expect(course.see(6, [], applied(after)).wrong.join()).toContain(problem);
  });

  test('shows an outcome that is recorded twice', () => {
    const course = new PoolCourse();
    course.load(KEY, row({ epoch: 5, ...live }).value);
    const outcome = { kind: 'exited', exitCode: 0, endedAtMs: 1, files: [] } as const;
    const report = { kind: 'report', node: 'n', items: [{ job: 1, task: 1, epoch: 5, outcome }] } as const;
    const results = [{ ok: true, value: ['recorded'] }] as const;
    expect(course.see(6, [report], { ...applied(), results }).wrong).toEqual([]);
    expect(course.see(7, [report], { ...applied(), results }).wrong.join()).toContain(
      'two outcomes of epoch 5',
    );
  });
});
