import { expect, test } from 'vitest';
import { type GroupId, MESH_GROUP, peerOfMachine } from '../../../src/model/ids.ts';
import { FewMachines } from './few-machines.ts';

const POOL: GroupId = 'pool:default';

test.each([
  ['a pool', POOL],
  ['the mesh', MESH_GROUP],
])(
  'a machine that is removed while it gets its vote leaves the group of %s able to decide',
  async (_, group) => {
    for (let seed = 1; seed <= 6; seed++) {
      const world = await FewMachines.found(seed, 'ada', 'bob', 'eve');
      const joins = () => world.votersIn('ada', group).filter((id) => id !== world.idOf('ada'));
      await world.until('the group grows', () => joins().length === 1);
      const [joining] = joins();
      await world.propose('ada', { kind: 'machine.remove', machine: joining ?? '' });
      expect({ seed, answers: await world.answers('ada', group) }).toEqual({ seed, answers: true });
      await world.wait(20_000);
      expect({ seed, answers: await world.answers('ada', group) }).toEqual({ seed, answers: true });
      expect(world.votersIn('ada', group).length % 2).toBe(1);
    }
  },
);

test('of three voters one that is lost for good is removed, and a second one only when its vote is not needed any more', async () => {
  const world = await FewMachines.found(7, 'ada', 'bob', 'eve', 'joe');
  const groups: readonly GroupId[] = [MESH_GROUP, POOL];
  await world.until('three vote', () => groups.every((group) => world.votersIn('ada', group).length === 3));
  const voters = world.votersIn('ada', POOL).filter((id) => id !== world.idOf('ada'));
  const [lost = '', other = ''] = voters;
  world.kill(peerOfMachine(lost));
  await world.wait(6_000);
  expect(await world.propose('ada', { kind: 'machine.remove', machine: lost })).toMatchObject({ ok: true });
  const second = await world.propose('ada', { kind: 'machine.remove', machine: other });
  expect(second).toMatchObject({ ok: false, code: 'OperationInvalidForCurrentState' });
  await world.until('others vote in its place', () =>
    groups.every((group) => {
      const present = world.votersIn('ada', group);
      return present.length === 3 && !present.includes(lost);
    }),
  );
  await world.wait(1_000);
  expect(await world.propose('ada', { kind: 'machine.remove', machine: other })).toMatchObject({ ok: true });
  await world.wait(20_000);
  for (const group of groups) expect(await world.answers('ada', group)).toBe(true);
});
