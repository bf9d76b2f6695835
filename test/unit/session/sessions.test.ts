import { expect, test } from 'vitest';
import type { Exit } from '../../../agent/runner/interface.ts';
import { Sessions } from '../../../agent/session/sessions.ts';
import { silentLog } from '../../../src/lib/log.ts';
import { Prng } from '../../../src/lib/prng.ts';
import { machineId } from '../../../src/model/ids.ts';
import { openMemoryStore } from '../../../src/store/memory-store.ts';
import { MachineClock } from '../../sim/world/machine-clock.ts';
import { SimNetwork } from '../../sim/world/network.ts';
import { SimLifecycle } from '../../sim/world/sim-lifecycle.ts';
import { SimRunner } from '../../sim/world/sim-runner.ts';
import { SimRunnerClient } from '../../sim/world/sim-runner-client.ts';
import { Scope, VirtualTime } from '../../sim/world/virtual-time.ts';

test('the end of a task whose pool left this machine while its agent was down is not kept for ever', async () => {
  const time = new VirtualTime();
  const random = new Prng(1);
  const scope = new Scope('ada');
  const drift = { rate: 1, wallSkewMs: 0, monotonicStartMs: 0, sleptMs: 0 };
  const clock = new MachineClock(time, drift, scope, random.fork());
  const journal = new Map<string, Exit>([['gone/1/1/7', exitOf('gone')]]);
  const watcher = { started: () => {}, ended: () => {}, powerLost: () => {} };
  const runner = new SimRunner({ machine: 'ada', clock, random: random.fork(), watcher, journal });
  const network = new SimNetwork(time, random.fork(), () => undefined);
  const sessions = new Sessions({
    self: machineId('ada', 'ab'),
    transport: network.open({ self: 'ada', scope, address: 'ada', knows: () => undefined }),
    store: openMemoryStore(),
    clock,
    bootMs: () => clock.bootMs(),
    log: silentLog,
    runner: new SimRunnerClient({ time, scope, clock, random, runner: () => ({ runner, scope }) }),
    lifecycle: new SimLifecycle(clock, random.fork()),
    callLeader: () => new Promise(() => undefined),
    mayCoordinate: () => true,
    nodeSetup: () => {
      throw new Error('no node is set up');
    },
    life: 'life',
    boot: 1,
    faultOf: () => undefined,
    load: () => undefined,
  });
  const started = sessions.start();
  await time.run(
    () => time.nowMs > 1_000,
    () => undefined,
  );
  await started;
  expect(journal.size).toBe(1);
  sessions.setAllotments([]);
  await time.run(
    () => time.nowMs > 2_000,
    () => undefined,
  );
  expect(journal.size).toBe(0);
});

function exitOf(pool: string): Exit {
  return {
    key: { pool, job: 1, task: 1, epoch: 7 },
    node: 'n',
    reason: 'exited',
    exitCode: 0,
    startedAtMs: 1,
    endedAtMs: 2,
    message: undefined,
    stdoutBytes: 0,
    stderrBytes: 0,
    stdoutInline: undefined,
    stderrInline: undefined,
  };
}
