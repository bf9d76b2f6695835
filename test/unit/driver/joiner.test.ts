import { expect, test } from 'vitest';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import { FewMachines } from './few-machines.ts';

test('a joiner gets the word of a mesh leader that its join answer did not name', async () => {
  const world = await FewMachines.found(1, 'ada', 'bob', 'eve');
  await lead(world, 'bob');
  await world.join('joe', 'ada', ['ada']);
  await world.until('joe follows the mesh group', () => knows(world, 'joe', 'joe'), 60_000);
  expect(world.machine('joe').endpoint.isConnected('bob')).toBe(true);
});

test('a machine that slept while the mesh changed finds a leader whom it has never heard of', async () => {
  const world = await FewMachines.found(2, 'ada', 'bob', 'eve');
  await world.until('joe can be told', () => knows(world, 'eve', 'eve'));
  world.kill('eve');
  await world.join('joe', 'ada', ['ada', 'bob']);
  await world.until('joe votes', () => world.votersIn('ada', MESH_GROUP).includes(world.idOf('joe')));
  await lead(world, 'joe');
  await world.restart('eve');
  await world.until('eve hears of joe', () => knows(world, 'eve', 'joe'), 60_000);
});

test('two voters that moved while they were apart find each other through a member that both reach', async () => {
  const world = await FewMachines.found(3, 'ada', 'bob', 'eve', 'joe');
  await world.until('three vote', () => world.votersIn('ada', MESH_GROUP).length === 3);
  const voters = [...world.machines.keys()].filter((name) =>
    world.votersIn('ada', MESH_GROUP).includes(world.idOf(name)),
  );
  const [one = '', other = '', third = ''] = voters;
  for (const name of voters) world.kill(name);
  await world.restart(one, 'elsewhere');
  await world.restart(other, 'somewhere');
  await world.until('they are linked', () => world.machine(one).endpoint.isConnected(other), 60_000);
  expect(world.machines.get(third)?.endpoint.scope.isDead).toBe(true);
  expect(await world.answers(one, MESH_GROUP)).toBe(true);
});

function knows(world: FewMachines, name: string, other: string): boolean {
  return world.machine(name).coordinator.mesh?.machine(world.idOf(other)) !== undefined;
}

async function lead(world: FewMachines, name: string): Promise<void> {
  const leads = (who: string): boolean => world.machine(who).coordinator.leads(MESH_GROUP);
  await world.until(`${name} votes`, () => {
    const [leader] = [...world.machines.keys()].filter(leads);
    return leader !== undefined && world.votersIn(leader, MESH_GROUP).includes(world.idOf(name));
  });
  await world.until(`${name} leads`, () => {
    const [leader] = [...world.machines.keys()].filter(leads);
    const { host } = world.machine(leader ?? name).coordinator;
    const replica = host.replica(MESH_GROUP);
    if (leader === undefined || leader === name || replica === undefined) return leader === name;
    replica.raft.transferLeadership(world.idOf(name));
    host.wake(replica);
    return false;
  });
}
