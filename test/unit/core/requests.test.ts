import { describe, expect, test } from 'vitest';
import { RequestLog } from '../../../coordinator/core/pool/requests.ts';
import { REQUEST_IDS_KEPT } from '../../../src/lib/limits.ts';
import type { PoolCommand } from '../../../src/model/commands.ts';
import { aTask, Harness, POOL_ID, withNodes } from './pool-harness.ts';

describe('a request that is sent again', () => {
  const addJob: PoolCommand = { kind: 'job.add', spec: { id: 'j', poolInfo: { poolId: POOL_ID } } };

  test('has one effect and the same answer, in the same entry, a later one, and after a restart', () => {
    const h = new Harness();
    const request = { requestId: 'r1', command: addJob };
    const [first, second] = h.applyRequests(request, request).results;
    expect(second).toEqual(first);
    h.tick(1000);
    const again = h.applyRequests(request);
    expect(again.results).toEqual([first]);
    expect(again.effects).toEqual([]);
    expect(again.events).toEqual([]);
    h.restart();
    expect(h.applyRequests(request).results).toEqual([first]);
  });

  test('is refused again where it was refused, though it would succeed by now', () => {
    const h = new Harness();
    const command: PoolCommand = { kind: 'task.add', job: 'j', tasks: [aTask({ id: 'a' })] };
    const request = { requestId: 'early', command };
    expect(h.applyRequests(request).results).toMatchObject([{ ok: false, code: 'JobNotFound' }]);
    h.ok(addJob);
    expect(h.applyRequests(request).results).toMatchObject([{ ok: false, code: 'JobNotFound' }]);
    expect(h.applyRequests({ requestId: 'later', command }).results).toMatchObject([{ ok: true }]);
  });

  test('of many tasks gets each answer again', () => {
    const h = withNodes(0);
    const tasks = [
      aTask({ id: 'a' }),
      aTask({ id: 'b', requiredSlots: 99_999 }),
      aTask({ id: 'a' }),
      aTask({ id: 'c' }),
    ];
    const request = { requestId: 'r', command: { kind: 'task.add', job: 'j', tasks } as const };
    const { results } = h.applyRequests(request);
    h.restart();
    expect(h.applyRequests(request).results).toEqual(results);
    expect(results).toMatchObject([
      {
        value: [
          { id: 'a', outcome: { ok: true } },
          { id: 'b', outcome: { ok: false } },
          { id: 'a', outcome: { code: 'TaskExists' } },
          { id: 'c', outcome: { ok: true } },
        ],
      },
    ]);
  });

  test('commands without a request id are not remembered', () => {
    const h = new Harness();
    h.apply(addJob);
    expect(h.apply(addJob).results).toMatchObject([{ ok: false, code: 'JobExists' }]);
  });
});

test('the oldest answers are forgotten first, and their rows go', () => {
  const log = new RequestLog();
  const rows = new Set<string>();
  const writes = {
    putBytes: (key: string) => void rows.add(key),
    delete: (key: string) => void rows.delete(key),
  };
  const command: PoolCommand = { kind: 'job.enable', job: 'j' };
  const outcome = { ok: true, value: { eTag: '0x1', lastModifiedMs: 1 } } as const;
  for (let n = 0; n < REQUEST_IDS_KEPT + 10; n++) log.remember(`r${n}`, command, outcome, writes);
  expect(log.size).toBe(REQUEST_IDS_KEPT);
  expect(rows.size).toBe(REQUEST_IDS_KEPT);
  expect(log.find('r9', command)).toBeUndefined();
  expect(log.find('r10', command)).toEqual(outcome);
});

test('time never goes back, whatever the next leader says', async () => {
  const h = withNodes(0);
  h.timeMs -= 500_000;
  h.add('j', { id: 'a' });
  expect((await h.getTask('j', 'a')).creationTimeMs).toBe(1_000_000);
  h.restart();
  h.add('j', { id: 'b' });
  expect((await h.getTask('j', 'b')).creationTimeMs).toBe(1_000_000);
});

describe('a command that has not the shape of its kind', () => {
  test.each([
    null,
    7,
    {},
    { kind: 'job.sing' },
    { kind: 'toString' },
    { kind: 'job.add' },
    { kind: 'job.add', spec: { id: 5, poolInfo: {} } },
    { kind: 'task.add', job: 'j', tasks: null },
    { kind: 'task.add', job: 'j', tasks: [aTask({ id: 'a' }), null] },
    { kind: 'task.delete', job: 'j' },
    { kind: 'job.patch', job: 'j', patch: { constraints: 'PT1M' } },
    { kind: 'job.patch', job: 'j', patch: {}, condition: { ifMatch: 7 } },
    { kind: 'assign', items: [{ job: 1, task: 1 }] },
    { kind: 'report', node: 'n1', items: [{ job: 1, task: 1, epoch: 3, outcome: { kind: 'exited' } }] },
    {
      kind: 'report',
      node: 'n1',
      items: [{ job: 1, task: 1, epoch: 3, outcome: { kind: 'won', endedAtMs: 1, files: [] } }],
    },
    {
      kind: 'mirror',
      meshIndex: 9,
      pool: { id: 'p', exists: true, deleting: false },
      nodes: [{ node: 'n' }],
      removed: [],
    },
    { kind: 'sweep' },
  ])('is refused and changes nothing: %j', (command) => {
    const h = withNodes(1);
    const before = h.store.sorted();
    const { results, writes, effects } = h.applyRequests({ requestId: 'r', command: command as never });
    expect(results).toMatchObject([{ ok: false, code: 'InvalidRequestBody' }]);
    expect({ writes, effects }).toEqual({ writes: [], effects: [] });
    expect(h.store.sorted()).toEqual(before);
  });

  test('and a task of an add that is wrong does not keep the others out', () => {
    const h = withNodes(1);
    const wrong = { id: 'b', commandLine: 'x', dependsOn: { taskIds: 7 } } as never;
    const results = h.add('j', { id: 'a' }, wrong, { id: 'c', extra: 1 } as never, { id: 'd' });
    expect(results.map(({ outcome }) => (outcome.ok ? 'accepted' : outcome.code))).toEqual([
      'accepted',
      'InvalidRequestBody',
      'InvalidRequestBody',
      'accepted',
    ]);
  });

  test('does not keep the others of its entry from being carried out', () => {
    const h = withNodes(1);
    const { results } = h.apply({ kind: 'sweep' } as never, {
      kind: 'task.add',
      job: 'j',
      tasks: [aTask({ id: 'a' })],
    });
    expect(results.map(({ ok }) => ok)).toEqual([false, true]);
  });
});
