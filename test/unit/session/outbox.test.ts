import { expect, test } from 'vitest';
import type { Assigned } from '../../../agent/lifecycle/interface.ts';
import { Outbox } from '../../../agent/session/outbox.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { OUTBOX_GATHER_MS } from '../../../src/lib/limits.ts';
import { MemoryDisk, openMemoryStore } from '../../../src/store/memory-store.ts';

const assigned: Assigned = {
  pool: 'p',
  node: 'n',
  job: { number: 1, id: 'j', priority: 0, environment: [], onNodeCutOff: 'stop' },
  task: 1,
  epoch: 7,
  spec: { id: 't', commandLine: 'true' },
};

test('an execution that a full disk cannot keep is not launched, and its end not acknowledged', async () => {
  const disk = new MemoryDisk();
  const outbox = new Outbox(openMemoryStore(disk), systemClock, 'p');
  disk.full = true;
  await expect(outbox.keepAssigned(assigned)).rejects.toMatchObject({ code: 'DiskFull' });
  await expect(outbox.keepOutcome(assigned, { kind: 'killed', endedAtMs: 1, files: [] })).rejects.toThrow();
});

test('an end that comes while a slow disk writes another is kept by the next write, which nobody has to ask for', async () => {
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const disk = new MemoryDisk({
    latency: async () => {
      begin();
      await new Promise((resolve) => setTimeout(resolve, 3 * OUTBOX_GATHER_MS));
    },
  });
  const outbox = new Outbox(openMemoryStore(disk), systemClock, 'p');
  const first = outbox.keepAssigned(assigned);
  await begun;
  await outbox.keepOutcome(assigned, { kind: 'killed', endedAtMs: 1, files: [] });
  await first;
  expect((await outbox.load()).map(({ outcome }) => outcome?.kind)).toEqual(['killed']);
});
