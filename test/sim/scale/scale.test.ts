/** What a mesh costs as it grows, in counts that are the same on every machine. */
import { expect, test } from 'vitest';
import { runScale, type ScaleResult } from './scale-world.ts';

function perMachine({ size, idle }: ScaleResult): { readonly messages: number; readonly bytes: number } {
  const { sent, received } = idle.working;
  const seconds = size.machines * idle.seconds;
  return {
    messages: (sent.messages + received.messages) / seconds,
    bytes: (sent.bytes + received.bytes) / seconds,
  };
}

test('a machine and a task cost the same in a pool of four times as many machines', async () => {
  const small = await runScale({ machines: 40, pools: 1, tasks: 1_000 });
  const large = await runScale({ machines: 160, pools: 1, tasks: 4_000 });

  // A heartbeat and its acknowledgement a second, and nothing that grows with the others.
  expect(perMachine(small).messages).toBeCloseTo(2, 0);
  expect(perMachine(large).messages).toBeCloseTo(2, 0);
  expect(perMachine(large).bytes).toBeLessThan(1.2 * perMachine(small).bytes);

  // An append and its answer for each change of the mesh, and a round of heartbeats now and then.
  const meshMessages = ({ size, meshEntry }: ScaleResult): number =>
    (meshEntry.working.byKind['raft in']?.messages ?? 0) / (size.machines * meshEntry.entries);
  expect(meshMessages(large)).toBeLessThan(1.1 * meshMessages(small) + 0.5);

  const perTask = ({ size, run }: ScaleResult): readonly number[] => [
    run.rows / size.tasks,
    run.entries / size.tasks,
    (run.deciding.sent.bytes + run.deciding.received.bytes) / size.tasks,
    (run.working.sent.bytes + run.working.received.bytes) / size.tasks,
  ];
  const [rows = 0, entries = 0, deciding = 0, working = 0] = perTask(small);
  const [rowsThen = 0, entriesThen = 0, decidingThen = 0, workingThen = 0] = perTask(large);
  expect(rowsThen).toBeLessThan(1.2 * rows);
  // Tasks that begin or end in one turn share an entry: how many do depends on when they come, not on their number.
  expect(Math.max(entries, entriesThen)).toBeLessThan(0.15);
  expect(decidingThen).toBeLessThan(1.2 * deciding);
  expect(workingThen).toBeLessThan(1.2 * working);

  expect(large.failoverMs).toBeLessThan(10_000);
}, 360_000);
