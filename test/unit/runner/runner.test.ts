import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Containers } from '../../../agent/runner/containers.ts';
import { Journal } from '../../../agent/runner/journal.ts';
import { machineMonotonicMs } from '../../../agent/runner/machine-clocks.ts';
import { readPageBytes } from '../../../agent/runner/process-table.ts';
import { decodePayload, type Report, runnerIdentity } from '../../../agent/runner/protocol.ts';
import { ReportOutbox } from '../../../agent/runner/report-outbox.ts';
import { Runner } from '../../../agent/runner/runner.ts';
import { key, Recorder, shell, until, Workbench } from './harness.ts';

// The runner in this process, with the weakest tier (no namespace, no cgroups) and a clock of the tests' own.
let bench: Workbench;
let runner: Runner;
let recorder: Recorder;
let suspendedMs: number;
beforeEach(() => {
  bench = new Workbench('');
  suspendedMs = 0;
  mkdirSync(bench.directory);
  const { journal, exits } = Journal.open(join(bench.directory, 'journal'));
  const outbox = new ReportOutbox(journal, exits);
  recorder = new Recorder();
  outbox.send = (payload) => {
    const { started, exits: ended } = decodePayload(payload) as Report;
    for (const running of started) recorder.onStarted(running);
    for (const exit of ended) recorder.onExit(exit);
  };
  const directory = join(bench.directory, 'containers');
  const containers = new Containers({ directory, identity: 'test', log: () => {} });
  runner = new Runner(
    { outbox, boxes: undefined, containers, bootMs, log: () => {}, exit: () => {} },
    { identity: runnerIdentity(bench.directory), hasNamespace: false, pageBytes: readPageBytes() },
  );
  runner.handle({ type: 'configure', setup: bench.setup() });
  grantLease();
});
function bootMs(): number {
  return machineMonotonicMs() + suspendedMs;
}
function grantLease(fromMs = bootMs(), lease = 'pool'): void {
  runner.handle({ type: 'lease', lease, fromMs, deadlineMs: fromMs + 60_000 });
}
afterEach(async () => {
  await runner.stop(1_000);
  await bench.end();
});

const processesOfTasks = (): number[] => bench.processes();

describe('a machine that was suspended', () => {
  it('kills what runs and drops what waits, although by monotonic time the lease still holds', async () => {
    runner.handle({ type: 'configure', setup: bench.setup({ slots: 1 }) });
    runner.handle({
      type: 'launch',
      launches: [bench.launch(1, ['sleep', '60']), bench.launch(2, ['/bin/true'])],
    });
    await recorder.startOf(key(1));
    suspendedMs = 3_600_000;
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'leaseExpired', exitCode: 137 });
    expect(await recorder.exitOf(key(2))).toMatchObject({ reason: 'leaseExpired', exitCode: undefined });
  });

  it('starts nothing under an old lease, nor under a new one what was launched under the old', async () => {
    suspendedMs = 3_600_000;
    runner.handle({ type: 'launch', launches: [bench.launch(1, ['/bin/true'])] });
    grantLease();
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'leaseExpired' });
    expect(recorder.started).toEqual([]);
  });

  it('starts nothing under a renewal that was on its way when the machine fell asleep', async () => {
    const grantedAtMs = bootMs();
    suspendedMs = 3_600_000;
    grantLease(grantedAtMs);
    grantLease(bootMs(), 'other');
    runner.handle({
      type: 'launch',
      launches: [bench.launch(1, ['/bin/true']), bench.launch(2, ['/bin/true'], { lease: 'other' })],
    });
    expect(await recorder.exitOf(key(2))).toMatchObject({ reason: 'exited' });
    expect(recorder.started).toMatchObject([{ key: key(2) }]);
  });

  it('goes on after a sleep that was shorter than the lease', async () => {
    runner.handle({ type: 'launch', launches: [bench.launch(1, ['sleep', '1'])] });
    await recorder.startOf(key(1));
    suspendedMs = 30_000;
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'exited', exitCode: 0 });
  });

  it('runs again under a lease that was given afterwards', async () => {
    suspendedMs = 3_600_000;
    grantLease();
    runner.handle({ type: 'launch', launches: [bench.launch(1, ['/bin/true'])] });
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'exited', exitCode: 0 });
  });
});

describe('a runner that was stopped itself', () => {
  it('sees from the renewal it finds then that its lease had ended before', async () => {
    runner.handle({ type: 'launch', launches: [bench.launch(1, ['sleep', '60'])] });
    await recorder.startOf(key(1));
    grantLease(bootMs() + 30_000);
    grantLease(bootMs() + 95_000);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'leaseExpired' });
    runner.handle({ type: 'launch', launches: [bench.launch(2, ['/bin/true'])] });
    expect(await recorder.exitOf(key(2))).toMatchObject({ reason: 'exited' });
  });
});

describe('without namespace and cgroups', () => {
  it('daemons in sessions of their own are found by their mark', async () => {
    const daemons =
      'for i in 1 2 3; do setsid sh -c "trap \\"\\" TERM; setsid sleep 60 & sleep 60" & done; sleep 60';
    runner.handle({
      type: 'launch',
      launches: [bench.launch(1, shell(daemons)), bench.launch(2, ['sleep', '60'])],
    });
    await until(() => processesOfTasks().length >= 9, 'the tree is up');
    runner.handle({ type: 'kill', key: key(1), graceMs: 50 });
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'killed' });
    await until(() => processesOfTasks().length === 1, 'only the other task is left');
    expect(recorder.exits.size).toBe(1);
  });

  it('a daemon that cleared its environment is known by the parents it was once seen with', async () => {
    const daemon = 'env -i setsid sleep 61 & sleep 0.6';
    runner.handle({ type: 'configure', setup: bench.setup({ memoryBytesMax: 2 ** 40 }) });
    runner.handle({ type: 'launch', launches: [bench.launch(1, shell(`${daemon}; echo $! > pid`))] });
    await recorder.exitOf(key(1));
    const pid = Number(readFileSync(join(bench.nodeRoot, 'job/1/wd/pid'), 'utf8'));
    // A zombie is dead, although nobody may have reaped it.
    const isAlive = (): boolean =>
      existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    await until(() => !isAlive(), 'the daemon is dead');
  });
});
