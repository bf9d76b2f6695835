import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Launch } from '../../../agent/runner/interface.ts';
import { INLINE_OUTPUT_BYTES_MAX } from '../../../src/lib/limits.ts';
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

describe('an execution', () => {
  it('starts in a directory made for it, and ends with its exit code and its short output', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, shell('pwd; echo oops >&2; exit 3'))]);
    const exit = await recorder.exitOf(key(1));
    expect(exit).toMatchObject({ reason: 'exited', exitCode: 3, node: 'node', message: undefined });
    expect(text(exit.stdoutInline)).toBe(`${join(bench.nodeRoot, 'job/1/wd')}\n`);
    expect(text(exit.stderrInline)).toBe('oops\n');
    expect(exit.stdoutBytes).toBe(text(exit.stdoutInline).length);
    expect(readFileSync(join(bench.nodeRoot, 'job/1/stderr.txt'), 'utf8')).toBe('oops\n');
    expect(exit.startedAtMs).toBeLessThanOrEqual(exit.endedAtMs);
    expect(recorder.started.map((running) => running.key)).toEqual([key(1)]);
  });

  it('ends with 128 + signal when a signal ended it', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, shell('kill -SEGV $$'))]);
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'exited', exitCode: 139 });
  });

  it('keeps long output in its files and tells its length', async () => {
    const [client, recorder] = await bench.ready();
    const bytes = INLINE_OUTPUT_BYTES_MAX + 1;
    client.launch([bench.launch(1, shell(`head -c ${bytes} /dev/zero; head -c ${bytes - 1} /dev/zero >&2`))]);
    const exit = await recorder.exitOf(key(1));
    expect(exit).toMatchObject({ stdoutBytes: bytes, stdoutInline: undefined, stderrBytes: bytes - 1 });
    expect(exit.stderrInline?.length).toBe(bytes - 1);
  });

  it('is found as a start message while it runs', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, ['sleep', '60'])]);
    const running = await recorder.startOf(key(1));
    expect(running.pid).toBeGreaterThan(0);
    expect(recorder.exits.size).toBe(0);
  });

  it('never shares its slots with more than fit, and starts by priority', async () => {
    const [client, recorder] = await bench.ready({ slots: 2 });
    const record = join(bench.root, 'record');
    const work = shell(`echo "+ $TASK" >> ${record}; sleep 0.05; echo "- $TASK" >> ${record}`);
    const launches: Launch[] = [];
    for (let task = 1; task <= 12; task += 1) {
      const environment = { TASK: String(task) };
      launches.push(
        bench.launch(
          task,
          work.map((word) => word.replaceAll('$TASK', String(task))),
          { priority: task, environment },
        ),
      );
    }
    client.launch(launches);
    for (let task = 1; task <= 12; task += 1) await recorder.exitOf(key(task));
    let atOnce = 0;
    const order: number[] = [];
    for (const line of readFileSync(record, 'utf8').trim().split('\n')) {
      const [sign, task] = line.split(' ');
      atOnce += sign === '+' ? 1 : -1;
      expect(atOnce).toBeLessThanOrEqual(2);
      if (sign === '+') order.push(Number(task));
    }
    const started = recorder.started.map((running) => running.key.task);
    expect(started).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(order).toHaveLength(12);
  });

  it('waits as long as there is no lease', async () => {
    const client = bench.client();
    const attached = await client.attach({ onStarted: () => {}, onExit: () => {}, onLost: () => {} });
    expect(attached).toEqual({ waiting: [], running: [], exits: [] });
    client.configureNode(bench.setup());
    client.launch([bench.launch(1, ['/bin/true'])]);
    await client.detach();
    const [, recorder] = [client, bench.client()];
    const state = await recorder.attach({ onStarted: () => {}, onExit: () => {}, onLost: () => {} });
    expect(state.waiting).toEqual([key(1)]);
  });

  it('runs anew in the directory of its predecessor, with empty logs', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, shell('echo first; touch kept'))]);
    await recorder.exitOf(key(1));
    client.launch([bench.launch(1, shell('ls'), { key: key(1, 2) })]);
    expect(text((await recorder.exitOf(key(1, 2))).stdoutInline)).toBe('kept\n');
  });

  it('takes a program without a slash from its working directory before PATH', async () => {
    const [client, recorder] = await bench.ready();
    const launch = bench.launch(1, ['true', 'x']);
    mkdirSync(launch.workingDirectory, { recursive: true });
    writeFileSync(join(launch.workingDirectory, 'true'), '#!/bin/sh\necho mine\n', { mode: 0o755 });
    client.launch([launch, bench.launch(2, ['true'])]);
    expect(text((await recorder.exitOf(key(1))).stdoutInline)).toBe('mine\n');
    expect(text((await recorder.exitOf(key(2))).stdoutInline)).toBe('');
  });
});

describe('the environment of a task', () => {
  it('is what node and launch give, with defaults, and nothing of the agent', async () => {
    process.env.SHOAL_TEST_SECRET = 'do not tell';
    const [client, recorder] = await bench.ready({ environment: { A: 'node', B: 'node' } });
    const launch = bench.launch(1, ['/usr/bin/env'], {
      environment: { B: 'launch', SHOAL_EXECUTION: 'forged' },
    });
    client.launch([launch, bench.launch(2, shell('cat /proc/*/environ | tr "\\0" "\\n"'))]);
    const lines = text((await recorder.exitOf(key(1))).stdoutInline)
      .trim()
      .split('\n')
      .sort();
    expect(lines).toEqual([
      'A=node',
      'B=launch',
      `HOME=${launch.workingDirectory}`,
      'LANG=C.UTF-8',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'SHOAL_EXECUTION=pool/1/1/1',
      expect.stringMatching(/^SHOAL_RUNNER=[0-9a-f]{16}$/),
    ]);
    await recorder.exitOf(key(2));
    expect(readFileSync(join(bench.nodeRoot, 'job/2/stdout.txt'), 'utf8')).not.toContain('do not tell');
    delete process.env.SHOAL_TEST_SECRET;
  });
});

describe('a launch that cannot be', () => {
  const failures: [string, string[], Partial<Launch>, string, RegExp][] = [
    ['a program that is nowhere', ['no-such-program'], {}, 'programNotFound', /neither in .* nor in PATH/],
    ['a path that is not there', ['/no/such/program'], {}, 'programNotFound', /does not exist/],
    ['a program that may not be executed', ['/etc/passwd'], {}, 'launchFailed', /EACCES/],
    ['an argument of 2 MB', ['/bin/true', 'x'.repeat(2 ** 21)], {}, 'launchFailed', /too long .*E2BIG/],
    ['an argument of 10 MB', ['/bin/true', 'x'.repeat(10 * 2 ** 20)], {}, 'launchFailed', /too long/],
    ['a NUL in an argument', ['/bin/echo', 'a\0b'], {}, 'launchFailed', /NUL/],
    ['an impossible variable', ['/bin/true'], { environment: { 'A=B': '1' } }, 'launchFailed', /"A=B"/],
    [
      'a directory outside of the node',
      ['/bin/true'],
      { taskDirectory: '/tmp/elsewhere' },
      'launchFailed',
      /not below/,
    ],
    ['a directory with dots', ['/bin/true'], { workingDirectory: '/x/../y' }, 'launchFailed', /not below/],
    [
      'more slots than the node has',
      ['/bin/true'],
      { slots: 5 },
      'launchFailed',
      /needs 5 slots and its node has 4/,
    ],
    ['a node that is not set up', ['/bin/true'], { node: 'other' }, 'launchFailed', /other is not set up/],
    ['no program', [], {}, 'launchFailed', /names no program/],
  ];

  it('is reported with its reason, and holds up nothing', async () => {
    const [client, recorder] = await bench.ready();
    client.launch(failures.map(([, argv, changes], index) => bench.launch(index, argv, changes)));
    for (const [index, [name, , , reason, message]] of failures.entries()) {
      const exit = await recorder.exitOf(key(index));
      expect(exit, name).toMatchObject({ reason, exitCode: undefined, startedAtMs: undefined });
      expect(exit.message, name).toMatch(message);
    }
    expect(recorder.started).toEqual([]);
    client.launch([99, 98, 97, 96].map((task) => bench.launch(task, ['/bin/true'])));
    for (const task of [99, 98, 97, 96]) await recorder.exitOf(key(task));
  });

  it('says that it is the interpreter which is missing', async () => {
    const [client, recorder] = await bench.ready();
    const launch = bench.launch(1, ['./script']);
    mkdirSync(launch.workingDirectory, { recursive: true });
    writeFileSync(join(launch.workingDirectory, 'script'), '#!/no/such/shell\n', { mode: 0o755 });
    client.launch([launch]);
    expect(await recorder.exitOf(key(1))).toMatchObject({
      reason: 'programNotFound',
      message: expect.stringMatching(/interpreter/),
    });
  });
});

describe('what a task finds in its directory', () => {
  it('is never written through: links and FIFOs in place of its logs are replaced', async () => {
    const [client, recorder] = await bench.ready();
    const victim = join(bench.root, 'victim');
    writeFileSync(victim, 'precious');
    const launch = bench.launch(1, shell('echo hello; mkfifo ../../2.fifo'));
    mkdirSync(launch.workingDirectory, { recursive: true });
    symlinkSync(victim, join(launch.taskDirectory, 'stdout.txt'));
    client.launch([launch]);
    expect(text((await recorder.exitOf(key(1))).stdoutInline)).toBe('hello\n');
    expect(readFileSync(victim, 'utf8')).toBe('precious');
    expect(lstatSync(join(launch.taskDirectory, 'stdout.txt')).isFile()).toBe(true);
  });

  it('is never a link in place of the directory itself', async () => {
    const [client, recorder] = await bench.ready();
    mkdirSync(join(bench.nodeRoot, 'job'), { recursive: true });
    symlinkSync(bench.root, join(bench.nodeRoot, 'job', '1'));
    const deep = bench.launch(2, ['/bin/true']);
    mkdirSync(deep.taskDirectory);
    symlinkSync('/tmp', deep.workingDirectory);
    client.launch([bench.launch(1, ['/bin/true']), deep]);
    expect(await recorder.exitOf(key(1))).toMatchObject({
      reason: 'launchFailed',
      message: expect.stringMatching(/not a directory/),
    });
    expect(await recorder.exitOf(key(2))).toMatchObject({
      reason: 'launchFailed',
      message: expect.stringMatching(/not a directory/),
    });
    expect(statSync(join(bench.root, 'stdout.txt'), { throwIfNoEntry: false })).toBeUndefined();
  });

  it.runIf(process.geteuid?.() === 0)('belongs to the user of its node, whom it runs as', async () => {
    chmodSync(bench.root, 0o711);
    const [client, recorder] = await bench.ready({ uid: 65534, gid: 65534 });
    const look =
      'id -u; id -g; id -G; touch file ../file; stat -c %u . .. file ../stdout.txt; cat /proc/1/environ';
    client.launch([bench.launch(1, shell(look))]);
    const exit = await recorder.exitOf(key(1));
    expect(text(exit.stdoutInline).trim().split('\n')).toEqual(Array(7).fill('65534'));
    expect(text(exit.stderrInline)).toMatch(/environ: Permission denied/);
  });
});

describe('a node', () => {
  it('that is removed takes its tasks with it, those that wait too', async () => {
    const [client, recorder] = await bench.ready({ slots: 1 });
    client.launch([bench.launch(1, ['sleep', '60']), bench.launch(2, ['/bin/true'])]);
    await recorder.startOf(key(1));
    client.removeNode('node');
    expect(await recorder.exitOf(key(1))).toMatchObject({ reason: 'killed', exitCode: 137 });
    expect(await recorder.exitOf(key(2))).toMatchObject({ reason: 'killed', exitCode: undefined });
    client.launch([bench.launch(3, ['/bin/true'])]);
    expect(await recorder.exitOf(key(3))).toMatchObject({ reason: 'launchFailed' });
  });

  it('whose slots grow starts more at once', async () => {
    const [client, recorder] = await bench.ready({ slots: 1 });
    client.launch([bench.launch(1, ['sleep', '60']), bench.launch(2, ['sleep', '60'])]);
    await recorder.startOf(key(1));
    client.configureNode(bench.setup({ slots: 2 }));
    await recorder.startOf(key(2));
    await until(() => recorder.started.length === 2, 'both run');
  });
});
