import { expect, test } from 'vitest';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import { FewMachines } from './few-machines.ts';

const HOUR_MS = 3_600_000;

test("a group whose leader's clock was set back an hour goes on with its time, at half the pace", async () => {
  const world = await FewMachines.found(1, 'ada');
  const { coordinator, setClock } = world.machine('ada');
  const { host } = coordinator;
  const replica = host.replica(MESH_GROUP);
  if (replica === undefined) throw new Error('ada holds the mesh group');
  const before = host.groupMs(replica);
  setClock(-HOUR_MS);
  const setBackAtMs = world.time.nowMs;
  expect(host.groupMs(replica)).toBeGreaterThanOrEqual(replica.machine.timeMs());
  await world.until('ten minutes are over', () => world.time.nowMs > setBackAtMs + 600_000, 700_000);
  const passed = host.groupMs(replica) - before;
  expect(passed).toBeGreaterThan(250_000);
  expect(passed).toBeLessThan(350_000);
  await world.until('three hours are over', () => world.time.nowMs > setBackAtMs + 3 * HOUR_MS, 4 * HOUR_MS);
  expect(host.groupMs(replica)).toBe(host.wallMs(replica));
});
