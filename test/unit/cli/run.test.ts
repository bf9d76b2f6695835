import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Shell, shoal } from './shell.ts';
import { SmallMesh } from './small-mesh.ts';

let mesh: SmallMesh;

beforeEach(async () => {
  mesh = await SmallMesh.start();
});

afterEach(async () => {
  await mesh.stop();
});

function run(words: readonly string[], options: Partial<ConstructorParameters<typeof Shell>[1]> = {}): Shell {
  return new Shell(['run', ...words], { data: mesh.root, ...options });
}

describe('a run', () => {
  test('prints what its tasks print in the order of the items, whichever ends first', async () => {
    const slowFirst = 'test {} = 1 && sleep 0.2; echo item {}';
    const ended = await run(['--shell', '--', slowFirst, ':::', ...'12345678'.split('')]).ended;
    expect(ended.stdout).toBe([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `item ${n}\n`).join(''));
    expect(ended.code).toBe(0);
  });

  test('without keeping the order prints tasks as they end', async () => {
    const { stdout } = await run([
      '-u',
      '--shell',
      '--',
      'test {} = 1 && sleep 0.4; echo {}',
      ':::',
      '1',
      '2',
      '3',
    ]).ended;
    expect(stdout.split('\n').filter(Boolean).sort()).toEqual(['1', '2', '3']);
    expect(stdout.startsWith('1')).toBe(false);
  });

  test('shows the task whose turn it is while it writes', async () => {
    const shell = run(['--shell', '--', 'echo early; while ! test -e ../go; do sleep 0.02; done; echo late']);
    await expect.poll(() => shell.stdout).toBe('early\n');
    const [job] = mesh.jobs.keys();
    await writeFile(path.join(mesh.root, 'work', job ?? '', '0001', 'go'), '');
    expect((await shell.ended).stdout).toBe('early\nlate\n');
  });

  test('repeats nothing of a task when its connection breaks', async () => {
    mesh.cuts = 3;
    const ended = await run(['--shell', '--', 'for i in 1 2 3 4; do echo $i; sleep 0.15; done']).ended;
    expect(ended).toMatchObject({ code: 0, stdout: '1\n2\n3\n4\n', stderr: '' });
    expect(mesh.cuts).toBe(0);
  });

  test('whose job somebody else ends says so, and does not succeed', async () => {
    const shell = run(['--name', 'shared', '--', 'sleep', '{}', ':::', '30', '31', '32']);
    await expect.poll(() => mesh.requests).toContain('GET /shoal/v1/jobs/shared/tasks/0001/follow');
    await shoal(['job', 'terminate', 'shared'], { data: mesh.root });
    const ended = await shell.ended;
    expect(ended.code).toBe(137);
    expect(ended.stderr).toContain('The job was ended; 1 tasks never ran.');
  });

  test('ends with the worst exit code, and says which task it was', async () => {
    const ended = await run(['--shell', '--', 'exit {}', ':::', '0', '3', '2']).ended;
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('2 of 3 tasks failed; the worst exit code is 3 (task 0002)');
  });

  test('puts the task before each line of standard error', async () => {
    const ended = await run(['--shell', '--', 'printf "a\\nb" >&2; echo out']).ended;
    expect(ended.stdout).toBe('out\n');
    expect(ended.stderr).toBe('0001: a\n0001: b\n');
  });

  test('hands each item over as one argument, whatever is in it', async () => {
    const items = ["it's", 'a b', '$(id)', '*', 'ä\n', '', '"', '\\'];
    const ended = await run(['--', 'printf', '[%s]', '{}', ':::', ...items]).ended;
    expect(ended.stdout).toBe(items.map((item) => `[${item}]`).join(''));
  });

  test('takes items from standard input, and the item at the end of a command that does not say where', async () => {
    expect((await run(['echo', 'got'], { stdin: 'x y\nz' }).ended).stdout).toBe('got x y\ngot z\n');
  });

  test('is one task where there are no items', async () => {
    expect((await run(['--', 'echo', 'once']).ended).stdout).toBe('once\n');
    expect((await run(['--', 'echo', 'once'], { stdin: '' }).ended).stdout).toBe('once\n');
  });

  test('of no items at all is done at once', async () => {
    const ended = await run(['echo', '{}'], { stdin: '' }).ended;
    expect(ended).toMatchObject({ code: 0, stdout: '' });
    expect(mesh.jobs.size).toBe(0);
  });

  test('ends its job', async () => {
    await run(['--name', 'short', '--', 'true']).ended;
    expect(mesh.jobs.get('short')?.state).toBe('completed');
  });

  test('in JSON gives its tasks instead of their outputs', async () => {
    const shell = new Shell(['--output', 'jsonl', 'run', 'echo', ':::', 'a', 'b'], { data: mesh.root });
    const lines = (await shell.ended).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string });
    expect(lines.map((line) => line.id)).toEqual(['0001', '0002']);
  });
});

describe('the files of a run', () => {
  test('go to their tasks and come back', async () => {
    const home = path.join(mesh.root, 'home');
    await mkdir(path.join(home, 'in'), { recursive: true });
    await writeFile(path.join(home, 'in/a.txt'), 'alpha');
    await writeFile(path.join(home, 'in/b.txt'), 'beta');
    await writeFile(path.join(home, 'suffix'), '!');
    const words = [
      '--name',
      'Files_1',
      '--input',
      '{}',
      '--input',
      'suffix',
      '--output',
      '{/.}.up',
      '--out',
      'got',
      '--cleanup',
    ];
    const command = 'tr a-z A-Z < {} > {/.}.up; cat suffix >> {/.}.up';
    const ended = await run([...words, '--shell', '--', command, ':::', 'in/a.txt', 'in/b.txt'], {
      directory: home,
    }).ended;
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(await readFile(path.join(home, 'got/0001/a.up'), 'utf8')).toBe('ALPHA!');
    expect(await readFile(path.join(home, 'got/0002/b.up'), 'utf8')).toBe('BETA!');
    expect([...mesh.blobs.keys()]).toEqual([]);
  });

  test('that are missing stop the run before anything is made', async () => {
    const ended = await run(['--input', 'nowhere', '--', 'true'], { directory: mesh.root }).ended;
    expect(ended).toMatchObject({ code: 3 });
    expect(mesh.requests).toEqual([]);
  });

  test('of another run of the same name are not touched', async () => {
    mesh.blobs.set('again-in', new Map([['x', Buffer.from('theirs')]]));
    await writeFile(path.join(mesh.root, 'x'), 'mine');
    const ended = await run(['--name', 'again', '--input', 'x', '--', 'true'], { directory: mesh.root })
      .ended;
    expect(ended.code).toBe(4);
    expect(mesh.blobs.get('again-in')?.get('x')?.toString()).toBe('theirs');
  });
});

describe('an interrupted run', () => {
  const SLEEPERS = ['--name', 'nap', '--', 'sleep', '{}', ':::', '30', '31', '32'];

  test('without a terminal is cancelled: no process of it is left, and the exit code is 130', async () => {
    const shell = run(SLEEPERS);
    await expect.poll(() => mesh.requests).toContain('GET /shoal/v1/jobs/nap/tasks/0001/follow');
    shell.interrupt();
    const ended = await shell.ended;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain('Job nap is cancelled.');
    expect(mesh.runningProcesses).toBe(0);
    expect(mesh.jobs.get('nap')?.state).toBe('completed');
  });

  test('on a terminal asks: d leaves the job alone', async () => {
    const shell = run(SLEEPERS, { terminal: true, keys: ['d'] });
    await expect.poll(() => shell.stderr).toContain('0/3');
    shell.interrupt();
    const ended = await shell.ended;
    expect(ended.code).toBe(0);
    expect(ended.stdout).toBe('nap\n');
    expect(ended.stderr).toContain('[d]etach');
    expect(mesh.jobs.get('nap')?.state).toBe('active');
  });

  test('on a terminal asks: r goes on, and a later c cancels', async () => {
    const shell = run(SLEEPERS, { terminal: true, keys: ['r', 'c'] });
    await expect.poll(() => shell.stderr).toContain('0/3');
    shell.interrupt();
    await expect.poll(() => shell.stderr).toContain('[r]esume? \n');
    shell.interrupt();
    expect((await shell.ended).code).toBe(130);
    expect(mesh.runningProcesses).toBe(0);
  });

  test('that is not submitted yet is taken back', async () => {
    mesh.stuck = 'POST /jobs/nap/addtaskcollection';
    const shell = run(SLEEPERS);
    await expect.poll(() => mesh.requests).toContain(mesh.stuck);
    shell.interrupt();
    expect((await shell.ended).code).toBe(130);
    await expect.poll(() => mesh.jobs.size).toBe(0);
  });

  test('by SIGTERM is cancelled without a question', async () => {
    const shell = run(SLEEPERS, { terminal: true, keys: [] });
    await expect.poll(() => mesh.requests).toContain('GET /shoal/v1/jobs/nap/tasks/0001/follow');
    shell.interrupt('SIGTERM');
    expect((await shell.ended).code).toBe(130);
  });
});

describe('a run that does not wait', () => {
  test('prints the id of its job, and `job wait` has the exit code', async () => {
    const { stdout, code } = await run(['--detach', '--shell', '--', 'exit 7']).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^run-\d{8}-[0-9a-f]{8}\n$/);
    const waited = await shoal(['job', 'wait', stdout.trim()], { data: mesh.root });
    expect(waited.code).toBe(7);
    expect(waited.stdout).toContain('0 tasks succeeded, 1 failed');
  });
});

describe('a run that cannot be submitted', () => {
  test('leaves nothing behind', async () => {
    await mesh.stop();
    const ended = await run(['--', 'true']).ended;
    expect(ended.code).toBe(6);
    mesh = await SmallMesh.start();
    mesh.extra.set('POST /jobs/broken/addtaskcollection', {
      value: [
        {
          taskId: '0001',
          status: 'clienterror',
          error: { code: 'TaskCanNeverRun', message: { value: 'Too big.' } },
        },
      ],
    });
    const refused = await run(['--name', 'broken', '--output', '*', '--', 'true']).ended;
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toBe('error: Task 0001: Too big.\n');
    expect(mesh.jobs.size).toBe(0);
    expect(mesh.blobs.size).toBe(0);
  });

  test.each([
    [['--out', 'd', '--', 'true'], '--out needs --output'],
    [['--flat', '--', 'true'], '--flat needs --out'],
    [['--', ':::', 'a'], 'The command is missing'],
    [['echo', '{}'], 'there are no items'],
    [['echo', '{2}', ':::', 'a'], '{2} names a list that is not there'],
    [['echo', ':::+', 'a'], ':::+ is not supported'],
    [['--slots', '0', 'true'], 'from 1 to 256'],
    [['--pool', 'a b', 'true'], 'An id is 1 to 64'],
  ])('%j is refused as usage', async (words, message) => {
    const ended = await run(words).ended;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(message);
    expect(mesh.requests).toEqual([]);
  });
});
