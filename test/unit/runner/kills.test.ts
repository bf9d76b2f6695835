import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecutionKey } from '../../../agent/runner/interface.ts';
import { probeIsolation } from '../../../agent/runner/isolation.ts';
import { RUNNER_SWEEP_MS } from '../../../src/lib/limits.ts';
import { bundle, key, shell, text, until, Workbench } from './harness.ts';

let build: string;
let script: string;
let bench: Workbench;
beforeAll(async () => {
  build = await mkdtemp(join(tmpdir(), 'shoal-build-'));
  script = await bundle('agent/runner/main.ts', join(build, 'runner.cjs'));
});
afterAll(() => rmSync(build, { recursive: true }));
beforeEach(() => {
  bench = new Workbench(script);
});
afterEach(() => bench.end());

/** Runs on while this file's time of change moves. */
const heart = (path: string): string => `while :; do echo x >> ${path}; sleep 0.02; done`;

/** Beats of a process that writes to a file; none any more once it is dead. */
class Hearts {
  readonly #paths: readonly string[];

  constructor(...names: string[]) {
    this.#paths = names.map((name) => join(bench.root, name));
  }

  path(index: number): string {
    return this.#paths[index] ?? '';
  }

  beats(): number[] {
    return this.#paths.map((path) => (existsSync(path) ? readFileSync(path).length : 0));
  }

  async allBeat(): Promise<void> {
    await until(() => this.beats().every((count) => count > 2), 'every process lives');
  }

  async areStill(): Promise<boolean> {
    const before = this.beats();
    await new Promise((resolve) => setTimeout(resolve, 150));
    return this.beats().every((count, index) => count === before[index]);
  }
}

const namespaced = probeIsolation();
const plain = { hasNamespace: false, prefix: [] };
const isolations = namespaced.hasNamespace
  ? [['a namespace', namespaced] as const, ['no namespace', plain] as const]
  : [['no namespace', plain] as const];

describe.each(isolations)('in %s', (_name, isolation) => {
  it('a kill ends a tree that ignores SIGTERM, stops itself, and hides in sessions of its own', async () => {
    const [client, recorder] = await bench.ready({}, { isolation });
    const hearts = new Hearts('root', 'daemon', 'deep');
    const tree = [
      'trap "" TERM',
      `setsid sh -c '${heart(hearts.path(1))}' &`,
      `(setsid sh -c 'setsid sh -c "${heart(hearts.path(2))}" & exit' &)`,
      '(kill -STOP $(sh -c "echo \\$PPID")) &',
      heart(hearts.path(0)),
    ].join('\n');
    client.launch([bench.launch(1, shell(tree))]);
    await hearts.allBeat();
    client.kill(key(1), 100);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'killed', exitCode: 137 });
    expect(await hearts.areStill()).toBe(true);
  });

  it('what an ended task left behind is swept away soon', async () => {
    const [client, recorder] = await bench.ready({}, { isolation });
    const hearts = new Hearts('group', 'daemon');
    client.launch([
      bench.launch(
        1,
        shell(`${heart(hearts.path(0))} & setsid sh -c '${heart(hearts.path(1))}' & sleep 0.2`),
      ),
    ]);
    await hearts.allBeat();
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'exited', exitCode: 0 });
    await new Promise((resolve) => setTimeout(resolve, RUNNER_SWEEP_MS + 150));
    expect(await hearts.areStill()).toBe(true);
  });

  it('the end of a lease kills what runs at once and drops what waits, and a new lease starts afresh', async () => {
    const [client, recorder] = await bench.ready({ slots: 2 }, { isolation });
    const hearts = new Hearts('root', 'daemon');
    client.launch([
      bench.launch(
        1,
        shell(`trap "" TERM; setsid sh -c '${heart(hearts.path(1))}' & ${heart(hearts.path(0))}`),
      ),
      bench.launch(2, ['sleep', '60']),
      bench.launch(3, ['/bin/true']),
    ]);
    await hearts.allBeat();
    client.setLease('pool', 100);
    const fromMs = Date.now();
    const exits = await Promise.all([1, 2, 3].map((task) => recorder.exitOf(key(task))));
    expect(exits.map(({ reason }) => reason)).toEqual(Array(3).fill('leaseExpired'));
    expect(exits.map(({ exitCode }) => exitCode)).toEqual([137, 137, undefined]);
    expect(Math.max(...exits.map(({ endedAtMs }) => endedAtMs)) - fromMs).toBeLessThan(1_000);
    expect(await hearts.areStill()).toBe(true);
    client.launch([bench.launch(4, ['/bin/true'])]);
    client.setLease('pool', 60_000);
    expect(await recorder.exitOf(key(4))).toMatchObject({ exitCode: 0 });
  });
});

describe('an execution ends', () => {
  it('a kill gives a task its grace, and its exit code stands', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([
      bench.launch(1, shell('trap "echo bye; exit 7" TERM; echo up > up; while :; do sleep 0.01; done')),
    ]);
    await until(() => existsSync(join(bench.nodeRoot, 'job/1/wd/up')), 'it is up');
    client.kill(key(1), 5_000);
    const exit = await recorder.exitOf(key(1));
    expect(exit).toMatchObject({ reason: 'killed', exitCode: 7 });
    expect(text(exit.stdoutInline)).toBe('bye\n');
  });

  it('a stopped task dies too', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, shell('trap "" TERM; kill -STOP $$; sleep 60'))]);
    await recorder.startOf(key(1));
    client.kill(key(1), 50);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'killed', exitCode: 137 });
  });

  it('a task that waits is dropped without a start', async () => {
    const [client, recorder] = await bench.ready({ slots: 1 });
    client.launch([bench.launch(1, ['sleep', '60']), bench.launch(2, ['sleep', '60'])]);
    await recorder.startOf(key(1));
    client.kill(key(2), 0);
    expect(await recorder.exitOf(key(2))).toMatchObject({ reason: 'killed', startedAtMs: undefined });
  });

  it('wall clock, output and memory have their bounds', async () => {
    const [client, recorder] = await bench.ready({ memoryBytesMax: 150 * 1024 * 1024 });
    const hog = 'a=$(head -c 1000000 /dev/zero | tr "\\0" x); while :; do a="$a$a"; sleep 0.1; done';
    client.launch([
      bench.launch(1, ['sleep', '60'], { wallClockMsMax: 300 }),
      bench.launch(2, ['yes'], { outputBytesMax: 100_000 }),
      bench.launch(3, ['sh', '-c', 'yes >&2'], { outputBytesMax: 100_000 }),
      bench.launch(4, ['sleep', '60']),
      bench.launch(5, shell(hog)),
    ]);
    const wallClock = await recorder.exitOf(key(1));
    expect(wallClock).toMatchObject({
      reason: 'wallClock',
      exitCode: 137,
      message: expect.stringMatching(/300 ms/),
    });
    const ranMs = wallClock.endedAtMs - (wallClock.startedAtMs ?? 0);
    expect(ranMs).toBeGreaterThanOrEqual(299);
    expect(ranMs).toBeLessThan(1_500);
    expect(await recorder.exitOf(key(2))).toMatchObject({
      reason: 'outputTooLarge',
      message: expect.stringMatching(/stdout.txt/),
    });
    expect(await recorder.exitOf(key(3))).toMatchObject({
      reason: 'outputTooLarge',
      message: expect.stringMatching(/stderr.txt/),
    });
    expect(await recorder.exitOf(key(5))).toMatchObject({
      reason: 'memoryExceeded',
      message: expect.stringMatching(/157286400/),
    });
    // Its neighbour was not the largest, and lives.
    expect(recorder.exits.size).toBe(4);
  });

  it('a lease that is renewed in time does not end', async () => {
    const [client, recorder] = await bench.ready();
    client.setLease('pool', 200);
    client.launch([bench.launch(1, ['sleep', '0.6'])]);
    const renewal = setInterval(() => client.setLease('pool', 200), 50);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'exited', exitCode: 0 });
    clearInterval(renewal);
  });

  it('one lease does not touch the tasks of another', async () => {
    const [client, recorder] = await bench.ready();
    client.setLease('other', 60_000);
    client.launch([bench.launch(1, ['sleep', '60']), bench.launch(2, ['sleep', '0.5'], { lease: 'other' })]);
    await recorder.startOf(key(2));
    client.setLease('pool', 0);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'leaseExpired' });
    expect(await recorder.exitOf(key(2))).toMatchObject({ reason: 'exited', exitCode: 0 });
  });

  it('many tasks end at the same lease', async () => {
    const [client, recorder] = await bench.ready({ slots: 40 });
    const tasks = Array.from({ length: 40 }, (_, task) => task);
    client.launch(tasks.map((task) => bench.launch(task, shell('trap "" TERM; sleep 60; sleep 60'))));
    await until(() => recorder.started.length === 40, 'all run');
    client.setLease('pool', 0);
    for (const task of tasks)
      expect(await recorder.exitOf(key(task))).toMatchObject({ reason: 'leaseExpired' });
    await until(() => bench.processes().length <= 3, 'only the runner is left');
  });
});

describe.runIf(namespaced.hasNamespace)('a task that flees', () => {
  /** Leaves its parents, its session and its environment, and goes on as another process again and again. */
  const flight = (path: string): string =>
    `cat > hop <<'END'\n#!/bin/sh\necho x >> ${path}\nsetsid env -i /bin/sh ./hop &\nEND\nsetsid env -i /bin/sh ./hop &`;

  async function flee(task: ExecutionKey): Promise<Hearts> {
    const hearts = new Hearts(`hops${task.task}`);
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(task.task, shell(`${flight(hearts.path(0))}\nsleep 60`))]);
    await hearts.allBeat();
    client.setLease('pool', 0);
    expect(await recorder.exitOf(task)).toMatchObject({ reason: 'leaseExpired' });
    return hearts;
  }

  it('does not survive the end of its lease', async () => {
    const hearts = await flee(key(1));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await hearts.areStill()).toBe(true);
  });

  it.runIf(process.geteuid?.() === 0)('by forking without end meets its bound, and its lease', async () => {
    chmodSync(bench.root, 0o711);
    const uid = 64_321;
    const prefix = namespaced.prefix.map((word) => (word.startsWith('--nproc') ? '--nproc=60:60' : word));
    const [client, recorder] = await bench.ready(
      { uid, gid: uid },
      { isolation: { hasNamespace: true, prefix } },
    );
    client.launch([bench.launch(1, ['perl', '-e', 'while (1) { fork; select undef, undef, undef, 0.01 }'])]);
    await until(() => bench.processes().length > 30, 'it forks');
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(bench.processes().length).toBeLessThan(80);
    client.setLease('pool', 0);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'leaseExpired' });
    await until(() => bench.processes().length <= 3, 'only the runner is left');
    expect(recorder.lost).toBe(0);
  });

  it('and leaves no zombie: process 1 reaps whom it orphaned', async () => {
    const [client, recorder] = await bench.ready({ slots: 1 });
    client.launch([
      bench.launch(1, shell('for i in 1 2 3 4 5 6 7 8; do (setsid sh -c "sleep 0.05" &); done; sleep 0.3')),
      bench.launch(2, shell('cat /proc/[0-9]*/stat | grep -c ") Z "; ls -d /proc/[0-9]* | wc -l')),
    ]);
    await recorder.exitOf(key(1));
    const [zombies, processes] = text((await recorder.exitOf(key(2))).stdoutInline)
      .split('\n')
      .map(Number);
    expect(zombies).toBe(0);
    expect(processes).toBeLessThan(9);
  });

  it('sees neither the agent nor anything else of the machine', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([
      bench.launch(1, shell('cat /proc/[0-9]*/cmdline | tr "\\0" " "; kill -9 1; kill -0 1 && echo alive')),
    ]);
    const output = text((await recorder.exitOf(key(1))).stdoutInline);
    expect(output).not.toContain('vitest');
    expect(output).toContain('alive');
  });
});
