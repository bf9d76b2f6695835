import { expect, test } from 'vitest';
import { REQUEST_WAIT_MS } from '../../../src/lib/limits.ts';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import { PROPOSE_REQUEST, ProposeBody } from '../../../src/wire/protocol.ts';
import { FewMachines } from './few-machines.ts';

test.each([
  ['a node is empty', 'node.released'],
  ['a deleted pool is empty', 'pool.erase'],
])('that %s is said again where the mesh group did not take it', async (_, kind) => {
  const world = await FewMachines.found(5, 'ada', 'bob', 'eve');
  const spec = { id: 'p', vmSize: 'shoal.1c1g', targetDedicatedNodes: 1 };
  await world.propose('ada', { kind: 'pool.add', spec, voters: [world.idOf('bob')] });
  const mesh = () => world.machine('ada').coordinator.mesh;
  await world.until('the pool has its node', () => mesh()?.allotments('p').length === 1);
  await world.until('bob coordinates it, and not the mesh', () => {
    const { coordinator } = world.machine('bob');
    return coordinator.leads('pool:p') && !coordinator.leads(MESH_GROUP);
  });
  let lost = 0;
  world.loses = (method, payload) => {
    const isIt = method === PROPOSE_REQUEST && ProposeBody.decode(payload).command.kind === kind;
    if (isIt) lost += 1;
    return isIt;
  };
  await world.propose('ada', { kind: 'pool.delete', pool: 'p' });
  await world.wait(REQUEST_WAIT_MS + 5_000);
  expect(lost).toBeGreaterThan(0);
  expect(mesh()?.pool('p')).toBeDefined();
  world.loses = () => false;
  await world.until('the pool is gone with its node', () => mesh()?.pool('p') === undefined);
  expect(mesh()?.allotments('p')).toEqual([]);
});
