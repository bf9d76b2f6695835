/** A history that has every kind of command in it; most are taken, some refused. */
import type { Replica } from '../../../coordinator/driver/replica.ts';
import type { Command, EntityStamp, Outcome } from '../../../src/model/commands.ts';
import type { TaskOutcome } from '../../../src/model/task.ts';
import type { LoneHost } from './lone-host.ts';

type Propose = (
  command: Command,
  requestId?: string,
) => Promise<{ outcome: Outcome<unknown>; index: number }>;

export async function recordMesh(host: LoneHost): Promise<Replica> {
  const replica = await host.found('mesh');
  const propose: Propose = (command, requestId) => host.propose(replica, command, requestId);
  await machines(propose);
  await pools(propose);
  await files(propose);
  await host.wait(120_000);
  await propose({ kind: 'mesh.sweep' });
  return replica;
}

export async function recordPool(host: LoneHost): Promise<Replica> {
  const replica = await host.found('pool:render');
  const propose: Propose = (command, requestId) => host.propose(replica, command, requestId);
  await propose({ kind: 'mirror', meshIndex: 10, pool: POOL, nodes: NODES, removed: [] });
  await tasks(propose);
  await jobs(propose);
  await host.wait(120_000);
  for (let sweep = 0; sweep < 3; sweep++) await propose({ kind: 'sweep', limit: 2_000 });
  return replica;
}

// --- The mesh ---------------------------------------------------------------------------------------------------------

const GIB = 1024 ** 3;
const idOf = (name: string): string => `peer-${name}/00000001`;
const offer = (name: string, cores = 4) => ({
  id: idOf(name),
  peer: `peer-${name}`,
  name,
  capacity: {
    cores,
    memoryBytes: 8 * GIB,
    diskBytes: 100 * GIB,
    gpus: 0,
    labels: ['linux'],
    isolation: 'cgroup' as const,
    operatingSystem: 'linux',
  },
  addresses: ['/ip4/127.0.0.1/tcp/7411'],
  version: '0.1.0',
});
const VOTERS = [idOf('a'), idOf('b'), idOf('c')];

async function machines(propose: Propose): Promise<void> {
  const settings = { meshId: 'recorded', accountName: 'shoal', accountKey: 'a2V5' };
  await propose({ kind: 'mesh.init', settings, machine: offer('a') });
  for (const name of ['b', 'c', 'd']) {
    const peer = `temporary-${name}`;
    const expiresAtMs = 4_000_000_000_000;
    await propose({
      kind: 'token.create',
      id: `token-${name}`,
      peer,
      expiresAtMs,
      uses: 1,
      createdBy: idOf('a'),
    });
    await propose({ kind: 'machine.join', tokenPeer: peer, machine: offer(name) });
  }
  const token = { kind: 'token.create', peer: 'temporary', uses: 1, createdBy: idOf('a') } as const;
  await propose({ ...token, id: 'revoked', expiresAtMs: 4_000_000_000_000 });
  await propose({ kind: 'token.revoke', id: 'revoked' });
  await propose({ ...token, id: 'expires', expiresAtMs: 1_700_000_060_000 });
  await propose({ kind: 'machine.update', machine: offer('b', 8) });
  await propose({ kind: 'machine.drain', machine: idOf('d'), draining: true });
  await propose({ kind: 'machine.remove', machine: idOf('d') });
  await propose({ kind: 'machine.remove', machine: idOf('nobody') });
  await propose({ kind: 'group.voters', group: 'mesh', voters: VOTERS, generation: 0 });
}

/** A pool that is sized by a formula, and for a while by hand. */
async function scaling(propose: Propose): Promise<void> {
  const formula = '$TargetDedicatedNodes = $PendingTasks;';
  const spec = { id: 'scaled', vmSize: 'shoal.1c1g', enableAutoScale: true, autoScaleFormula: formula };
  await propose({ kind: 'pool.add', spec, voters: VOTERS });
  await propose({
    kind: 'pool.add',
    spec: { ...spec, id: 'wrong', targetDedicatedNodes: 1 },
    voters: VOTERS,
  });
  const pool = 'scaled';
  await propose({ kind: 'pool.disableAutoScale', pool });
  await propose({
    kind: 'allot',
    add: [],
    leave: [],
    resizeErrors: [],
    steady: [pool],
  });
  const change = { autoScaleFormula: formula, autoScaleEvaluationInterval: 'PT1M', autoScaleOnChange: true };
  const { outcome } = await propose({ kind: 'pool.enableAutoScale', pool, change });
  await propose({ kind: 'pool.enableAutoScale', pool, change });
  const version = outcome.ok ? (outcome.value as EntityStamp).eTag : '';
  const run = { kind: 'pool.autoScaled', pool, version, results: '$TargetDedicatedNodes=3' } as const;
  const targets = { targetLowPriorityNodes: 0, nodeDeallocationOption: 'taskcompletion' } as const;
  await propose({ ...run, run: 0, targets: { targetDedicatedNodes: 3, ...targets } });
  await propose({ ...run, run: 0, targets: { targetDedicatedNodes: 9, ...targets } });
  await propose({
    ...run,
    run: 1,
    targets: { targetDedicatedNodes: 1, ...targets },
    idleNodes: ['tvm-00000101'],
  });
  await propose({ ...run, run: 2, error: 'Line 1, Col 1: Division by zero' });
}

async function pools(propose: Propose): Promise<void> {
  const spec = { vmSize: 'shoal.2c2g', targetDedicatedNodes: 2, taskSlotsPerNode: 2 };
  await propose({ kind: 'pool.add', spec: { id: 'render', ...spec }, voters: VOTERS }, 'add-render');
  await propose({ kind: 'pool.add', spec: { id: 'render', ...spec }, voters: VOTERS }, 'add-render');
  await propose({
    kind: 'pool.add',
    spec: { id: 'brief', ...spec, targetDedicatedNodes: 0 },
    voters: VOTERS,
  });
  await propose({
    kind: 'pool.patch',
    pool: 'render',
    patch: { displayName: 'Farm' },
    condition: { ifMatch: '*' },
  });
  await propose({ kind: 'pool.patch', pool: 'render', patch: {}, condition: { ifMatch: '0x1' } });
  await propose({ kind: 'pool.resize', pool: 'render', resize: { targetDedicatedNodes: 3 } });
  const node = {
    pool: 'render',
    cores: 2,
    memoryBytes: 2 * GIB,
    slots: 2,
    dedicated: true,
    labels: ['linux'],
  };
  await propose({
    kind: 'allot',
    add: [
      { node: 'tvm-00000101', machine: idOf('b'), ...node },
      { node: 'tvm-00000102', machine: idOf('c'), ...node },
    ],
    leave: [],
    resizeErrors: [{ pool: 'render', errors: [{ code: 'AllocationFailed', message: 'no room' }] }],
    steady: [],
  });
  await scaling(propose);
  await propose({ kind: 'pool.resize', pool: 'render', resize: { targetDedicatedNodes: 4 } });
  await propose({ kind: 'pool.stopResize', pool: 'render' });
  await propose({ kind: 'pool.removeNodes', pool: 'render', nodes: ['tvm-00000102'], option: 'requeue' });
  await propose({ kind: 'node.released', nodes: ['tvm-00000102'] });
  await propose({ kind: 'pool.delete', pool: 'brief' });
  await propose({ kind: 'pool.erase', pool: 'brief' });
  await propose({ kind: 'job.reserve', job: 'movie', pool: 'render', voters: VOTERS });
  await propose({ kind: 'job.reserve', job: 'movie', pool: 'default', voters: VOTERS });
  await propose({ kind: 'job.release', job: 'movie', pool: 'render' });
}

async function files(propose: Propose): Promise<void> {
  const manifest = '0'.repeat(64);
  const blob = (name: string) => ({ name, sizeBytes: 5, manifest, holders: [idOf('a')] });
  await propose({ kind: 'container.create', name: 'models' });
  await propose({
    kind: 'blob.put',
    container: 'models',
    blobs: [blob('v1/a'), blob('é')],
    createContainer: false,
  });
  await propose({
    kind: 'blob.put',
    container: 'results',
    blobs: [{ ...blob('out'), origin: { pool: 'render', job: 1, task: 1, epoch: 5 } }],
    createContainer: true,
  });
  await propose({ kind: 'blob.holders', changes: [{ manifest, add: [idOf('b')], remove: [] }] });
  await propose({ kind: 'blob.delete', container: 'models', names: ['v1/a'] });
  await propose({ kind: 'container.delete', name: 'models' });
}

// --- A pool -----------------------------------------------------------------------------------------------------------

const POOL = {
  id: 'render',
  exists: true,
  deleting: false,
  spec: { id: 'render', vmSize: 'shoal.2c2g', taskSlotsPerNode: 2 },
};
const NODES = ['tvm-00000101', 'tvm-00000102'].map((node, position) => ({
  node,
  machine: idOf(position === 0 ? 'b' : 'c'),
  cores: 2,
  memoryBytes: 2 * GIB,
  slots: 2,
  dedicated: true,
  labels: ['linux'],
  allottedAtMs: 1_700_000_000_000,
}));
const [FIRST, SECOND] = ['tvm-00000101', 'tvm-00000102'] as const;

const exited = (exitCode: number, more: Partial<TaskOutcome> = {}): TaskOutcome => ({
  kind: 'exited',
  exitCode,
  endedAtMs: 1_700_000_010_000,
  files: [{ path: 'stdout.txt', sizeBytes: 2, inline: Uint8Array.of(104, 105) }],
  ...more,
});

/** Job 1: assigned, started, ended well and badly, retried, lost with its node, stopped, deleted, run again. */
async function tasks(propose: Propose): Promise<void> {
  const [job, poolInfo] = ['movie', { poolId: 'render' }] as const;
  await propose({ kind: 'job.add', spec: { id: job, poolInfo, usesTaskDependencies: true } }, 'add-movie');
  await propose({
    kind: 'task.add',
    job,
    tasks: [
      { id: 'one', commandLine: 'true', environmentSettings: [{ name: 'FRAME', value: '1' }] },
      { id: 'two', commandLine: 'false', constraints: { maxTaskRetryCount: 1 } },
      { id: 'three', commandLine: 'sleep 9' },
      { id: 'four', commandLine: 'true', dependsOn: { taskIds: ['one'] } },
      { id: 'five', commandLine: 'true' },
    ],
  });
  await propose({ kind: 'task.add', job, tasks: [{ id: 'one', commandLine: 'true' }] });
  const assign = async (task: number, node: string): Promise<number> =>
    (await propose({ kind: 'assign', items: [{ job: 1, task, node }] })).index;
  const report = (node: string, task: number, epoch: number, outcome?: TaskOutcome) =>
    propose({
      kind: 'report',
      node,
      items: [
        {
          job: 1,
          task,
          epoch,
          startedAtMs: 1_700_000_005_000,
          ...(outcome === undefined ? {} : { outcome }),
        },
      ],
    });
  const one = await assign(1, FIRST);
  await report(FIRST, 1, one);
  await report(FIRST, 1, one, exited(0));
  await report(FIRST, 1, one, exited(0));
  await report(FIRST, 2, await assign(2, FIRST), exited(1));
  await report(SECOND, 2, await assign(2, SECOND), exited(1));
  const three = await assign(3, SECOND);
  await propose({ kind: 'node.lost', node: SECOND });
  await report(SECOND, 3, three, exited(0));
  await propose({ kind: 'node.heard', node: SECOND });
  await propose({ kind: 'task.update', job, task: 'three', constraints: { maxWallClockTime: 'PT1M' } });
  const again = await assign(3, FIRST);
  await propose({ kind: 'task.terminate', job, task: 'three' });
  await report(FIRST, 3, again, { kind: 'killed', endedAtMs: 1_700_000_020_000, files: [] });
  await propose({ kind: 'task.reactivate', job, task: 'two' });
  await propose({ kind: 'task.reactivate', job, task: 'one' });
  await propose({ kind: 'task.delete', job, task: 'five' });
  await propose({ kind: 'node.scheduling', node: SECOND, enabled: false, option: 'requeue' });
  await assign(4, SECOND);
  await propose({ kind: 'node.scheduling', node: SECOND, enabled: true, option: 'taskcompletion' });
  await report(SECOND, 4, await assign(4, SECOND), exited(0, { files: [] }));
}

/** Job 1 and three more: changed, stopped, resumed, timed out, ended, deleted. */
async function jobs(propose: Propose): Promise<void> {
  const poolInfo = { poolId: 'render' };
  await propose({ kind: 'job.patch', job: 'movie', patch: { priority: 5 } });
  await propose({
    kind: 'job.update',
    job: 'movie',
    update: { poolInfo, metadata: [{ name: 'take', value: '2' }] },
  });
  await propose({ kind: 'job.disable', job: 'movie', disableTasks: 'requeue' });
  await propose({ kind: 'job.enable', job: 'movie' });
  await propose({
    kind: 'job.add',
    spec: { id: 'brief', poolInfo, constraints: { maxWallClockTime: 'PT1M' } },
  });
  await propose({ kind: 'job.add', spec: { id: 'cut', poolInfo } });
  await propose({ kind: 'job.terminate', job: 'cut', reason: 'enough' });
  await propose({ kind: 'job.add', spec: { id: 'gone', poolInfo } });
  await propose({ kind: 'task.add', job: 'gone', tasks: [{ id: 'a', commandLine: 'true' }] });
  await propose({ kind: 'job.delete', job: 'gone' });
  await propose({ kind: 'job.delete', job: 'nowhere' });
}
