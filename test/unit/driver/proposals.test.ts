import { expect, test } from 'vitest';
import { type GroupId, MESH_GROUP, peerOfMachine } from '../../../src/model/ids.ts';
import { PROPOSE_REQUEST, ProposeBody } from '../../../src/wire/protocol.ts';
import { FewMachines } from './few-machines.ts';

const POOL: GroupId = 'pool:default';
const MACHINES = ['ada', 'bob', 'eve', 'joe'];

function leaderOf(world: FewMachines, group: GroupId): string {
  const leads = (name: string): boolean =>
    world.machine(name).coordinator.host.replica(group)?.leadership.leading === true;
  const leader = MACHINES.find(leads);
  if (leader === undefined) throw new Error(`nobody leads ${group}`);
  return leader;
}

/** As a member sends it that has another program than ours; resolves with how it was refused. */
async function bring(world: FewMachines, from: string, group: GroupId, command: object): Promise<unknown> {
  const body = ProposeBody.encode({
    group,
    requestId: `forged-${from}`,
    command: command as { kind: string },
  });
  const { endpoint } = world.machine(from);
  const sent = endpoint.request(leaderOf(world, group), PROPOSE_REQUEST, body, { timeoutMs: 5_000 });
  return world.run(
    sent.then(
      () => 'taken',
      (error: { code?: string }) => error.code,
    ),
  );
}

async function fourMachines(): Promise<FewMachines> {
  const world = await FewMachines.found(11, ...MACHINES);
  await world.until('three vote', () => world.votersIn('ada', POOL).length === 3);
  return world;
}

test.each([
  [MESH_GROUP, { kind: 'schedule.launch', schedule: 's', number: 1 }],
  [MESH_GROUP, { kind: 'schedule.ended', schedule: 's', jobs: 1 }],
  [MESH_GROUP, { kind: 'mesh.sweep' }],
  [MESH_GROUP, { kind: 'mesh.init' }],
  [MESH_GROUP, { kind: 'allot', add: [], leave: [], resizeErrors: [], steady: [] }],
  [POOL, { kind: 'assign', items: [] }],
  [POOL, { kind: 'preempt', items: [] }],
  [POOL, { kind: 'report', node: 'n', items: [] }],
  [POOL, { kind: 'node.lost', node: 'n' }],
  [POOL, { kind: 'node.heard', node: 'n' }],
  [POOL, { kind: 'sweep', limit: 1 }],
  [POOL, { kind: 'mirror' }],
  [POOL, { kind: 'toString' }],
] as const)(
  'a member cannot bring to the leader of %s what only its own loops propose: %o',
  async (group, command) => {
    const world = await fourMachines();
    const from = MACHINES.find((name) => name !== leaderOf(world, group)) ?? '';
    expect(await bring(world, from, group, command)).toBe('Forbidden');
  },
);

test.each([
  { kind: 'pool.autoScaled', pool: 'default', version: 'v', run: 1, results: '' },
  { kind: 'pool.erase', pool: 'default' },
  { kind: 'group.voters', group: POOL, voters: [], generation: 0 },
])(
  'what a coordinator says is taken from a machine that votes in its group, and from no other: %o',
  async (command) => {
    const world = await fourMachines();
    const voters = world.votersIn('ada', POOL).map(peerOfMachine);
    const stranger = MACHINES.find((name) => !voters.includes(name)) ?? '';
    const voter = voters.find((name) => name !== leaderOf(world, MESH_GROUP)) ?? '';
    expect(await bring(world, stranger, MESH_GROUP, command)).toBe('Forbidden');
    expect(await bring(world, voter, MESH_GROUP, command)).toBe('taken');
  },
);

test("a machine tells of its own copies of contents, and of nobody else's", async () => {
  const world = await fourMachines();
  const voters = world.votersIn('ada', MESH_GROUP).map(peerOfMachine);
  const stranger = MACHINES.find((name) => !voters.includes(name)) ?? '';
  const change = (holder: string) => ({
    kind: 'blob.holders',
    changes: [{ manifest: 'm', add: [], remove: [world.idOf(holder)] }],
  });
  expect(await bring(world, stranger, MESH_GROUP, change(stranger))).toBe('taken');
  expect(await bring(world, stranger, MESH_GROUP, change(voters[0] ?? ''))).toBe('Forbidden');
});
