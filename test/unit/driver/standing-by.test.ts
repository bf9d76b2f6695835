import { expect, test } from 'vitest';
import { type GroupId, MESH_GROUP } from '../../../src/model/ids.ts';
import { FewMachines } from './few-machines.ts';

test('a voter that stands by is replaced like one that is dead, though its link stays', async () => {
  const groups: readonly GroupId[] = [MESH_GROUP, 'pool:default'];
  const world = await FewMachines.found(1, 'ada', 'bob', 'eve', 'joe');
  await world.until('three vote', () => groups.every((group) => world.votersIn('ada', group).length === 3));
  const voters = world.votersIn('ada', 'pool:default');
  const full = ['bob', 'eve', 'joe'].find((name) => voters.includes(world.idOf(name))) ?? '';
  await world.run(world.machine(full).coordinator.retire());
  await world.until('another votes in its place', () =>
    groups.every((group) => {
      const present = world.votersIn('ada', group);
      return present.length === 3 && !present.includes(world.idOf(full));
    }),
  );
  expect(world.machine('ada').endpoint.isConnected(full)).toBe(true);
});
