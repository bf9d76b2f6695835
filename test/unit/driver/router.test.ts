import { expect, test } from 'vitest';
import { type GroupId, peerOfMachine } from '../../../src/model/ids.ts';
import { LEADER_REQUEST } from '../../../src/wire/protocol.ts';
import { FewMachines } from './few-machines.ts';

const POOL: GroupId = 'pool:default';

test('a request that waits while nobody leads asks each voter a few times, not all the time', async () => {
  const world = await FewMachines.found(1, 'ada', 'bob', 'eve', 'joe', 'sue');
  await world.until('three vote', () => world.votersIn('ada', POOL).length === 3);
  const voters = world.votersIn('ada', POOL).map(peerOfMachine);
  const [alive = '', ...lost] = voters;
  for (const name of lost) world.kill(name);
  await world.wait(10_000);
  const before = world.requests.get(LEADER_REQUEST) ?? 0;
  const outsider = ['joe', 'sue', 'eve', 'bob'].find((name) => !voters.includes(name)) ?? alive;
  expect(await world.answers(outsider, POOL)).toBe(false);
  const asked = (world.requests.get(LEADER_REQUEST) ?? 0) - before;
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThan(60);
});

test('a request that waits at a machine outside the group knows a new leader as soon as a voter does', async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const world = await FewMachines.found(seed, 'ada', 'bob', 'eve', 'joe', 'sue');
    await world.until('three vote', () => world.votersIn('ada', POOL).length === 3);
    await world.wait(5_000);
    const voters = world.votersIn('ada', POOL).map(peerOfMachine);
    const leads = (name: string): boolean => world.machine(name).coordinator.leads(POOL);
    const outsider = [...world.machines.keys()].find((name) => !voters.includes(name)) ?? '';
    world.kill(voters.find(leads) ?? '', 'agent');
    const others = voters.filter((name) => world.machine(name).endpoint.scope.isRunning);
    let answeredAtMs = 0;
    void world
      .machine(outsider)
      .coordinator.router.query(POOL, 'job.list', { limit: 1 })
      .then(() => {
        answeredAtMs = world.time.nowMs;
      });
    await world.until('another leads', () => others.some(leads));
    const electedAtMs = world.time.nowMs;
    await world.until('the request is answered', () => answeredAtMs > 0);
    expect(answeredAtMs - electedAtMs).toBeLessThan(60);
  }
});
