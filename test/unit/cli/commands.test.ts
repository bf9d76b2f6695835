import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LocalStatus } from '../../../src/model/control.ts';
import { Shell, shoal } from './shell.ts';
import { SmallMesh } from './small-mesh.ts';

let mesh: SmallMesh;
let home: string;

beforeEach(async () => {
  mesh = await SmallMesh.start();
  home = path.join(mesh.root, 'home');
  await mkdir(home);
});

afterEach(async () => {
  await mesh.stop();
});

const run = (...words: string[]): ReturnType<typeof shoal> =>
  shoal(words, { data: mesh.root, directory: home });

const STATUS: LocalStatus = {
  meshId: 'mesh-1',
  machine: {
    id: 'p1/1',
    name: 'one',
    addresses: ['/ip4/10.0.0.1/tcp/4300'],
    version: '0.1.0',
    pid: 7,
    startedAtMs: 1,
  },
  connectedPeers: [],
  groups: [
    { group: 'mesh', role: 'leader', leader: 'p1/1', term: 2, commit: 9, applied: 9, voters: ['p1/1'] },
  ],
  runner: { tier: 'cgroup', pid: 8, running: 1, waiting: 0 },
};

describe('results', () => {
  test('are a table, or the API’s own objects as JSON', async () => {
    await run('job', 'create', 'a');
    await run('job', 'create', 'b');
    const table = await run('job', 'list');
    expect(table.stdout.split('\n')[0]).toMatch(/^ID +STATE +POOL/);
    expect(JSON.parse((await run('job', 'list', '--output', 'json')).stdout)).toEqual([
      { id: 'a', state: 'active' },
      { id: 'b', state: 'active' },
    ]);
    expect((await shoal(['--output', 'jsonl', 'job', 'list'], { data: mesh.root })).stdout).toBe(
      '{"id":"a","state":"active"}\n{"id":"b","state":"active"}\n',
    );
  });

  test('have no colours but on a terminal, and none there with NO_COLOR', async () => {
    await run('job', 'create', 'a');
    const shown = (env: Record<string, string>, ...more: string[]): Promise<{ stdout: string }> =>
      shoal(['job', 'list', ...more], {
        data: mesh.root,
        terminal: true,
        env: { SHOAL_DATA: mesh.root, ...env },
      });
    expect((await shown({})).stdout).toContain('\u001b[');
    expect((await shown({ NO_COLOR: '1' })).stdout).not.toContain('\u001b');
    expect((await shown({}, '--output', 'json')).stdout).not.toContain('\u001b');
    expect((await run('job', 'list')).stdout).not.toContain('\u001b');
  });

  test('of an empty list are an empty array', async () => {
    expect((await run('job', 'list', '--output', 'json')).stdout).toBe('[]\n');
    expect((await run('job', 'list', '--output', 'jsonl')).stdout).toBe('');
  });
});

describe('failures', () => {
  test('say what happened on standard error, and exit by their kind', async () => {
    expect(await run('job', 'show', 'nope')).toEqual({
      code: 3,
      stdout: '',
      stderr: 'error: It is JobNotFound.\n',
    });
    await run('job', 'create', 'twice');
    expect((await run('job', 'create', 'twice')).code).toBe(4);
  });

  test('in JSON are an object with the code', async () => {
    const { stderr, code } = await run('job', 'show', 'nope', '--output', 'json');
    expect(code).toBe(3);
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'JobNotFound', message: 'It is JobNotFound.', values: {} },
    });
  });

  test('of usage come before anything is sent, with a suggestion', async () => {
    const wrong = await run('job', 'lst');
    expect(wrong).toMatchObject({
      code: 2,
      stderr: "error: Unknown command 'lst'.\nhint: Did you mean list?\n",
    });
    expect((await run('pool', 'resize', 'p')).stderr).toContain('Give --nodes, --low-priority or both.');
    expect((await run('job', 'list', '--state', 'odd')).stderr).toContain('Allowed choices are active');
    expect((await run('job', 'list', '--nosuch')).code).toBe(2);
    expect((await run('job', 'show')).code).toBe(2);
    for (const outside of ['../../x', '/etc/passwd', 'wd/../../x'])
      expect((await run('task', 'files', 'job', 'task', outside)).code).toBe(2);
    expect(JSON.parse((await run('job', 'show', '--output=json')).stderr)).toMatchObject({
      error: { code: 'InvalidArgument' },
    });
    expect(mesh.requests).toEqual([]);
  });

  test('carry no control character of the other side', async () => {
    mesh.extra.set('GET /shoal/v1/machines', { items: [] });
    const { stderr } = await run('machine', 'show', '\u001b[2Jx');
    expect(stderr).toContain('\\x1b[2Jx');
  });

  test('of the agent that is not there have a code of their own', async () => {
    const ended = await shoal(['status'], { env: { SHOAL_DATA: path.join(home, 'none') } });
    expect(ended.code).toBe(6);
    expect(ended.stderr).toContain('hint: Start one with `shoal agent`');
  });

  test('an interrupt ends a command that waits, with 130', async () => {
    mesh.stuck = 'GET /shoal/v1/status';
    const shell = new Shell(['status'], { data: mesh.root });
    await expect.poll(() => mesh.requests).toContain(mesh.stuck);
    shell.interrupt();
    expect(await shell.ended).toMatchObject({ code: 130, stderr: '' });
  });
});

describe('a reader that has enough', () => {
  test('ends the command, and what a run has started', async () => {
    const shell = new Shell(
      ['run', '--name', 'long', '--shell', '--', 'echo {}; sleep 30', ':::', '1', '2'],
      {
        data: mesh.root,
      },
    );
    await expect.poll(() => shell.stdout).toBe('1\n');
    shell.closeOutput();
    expect((await shell.ended).code).toBe(141);
    expect(mesh.runningProcesses).toBe(0);
  });
});

describe('files', () => {
  test('go up under their own names below a directory, and come down again', async () => {
    await mkdir(path.join(home, 'scenes/sub'), { recursive: true });
    await writeFile(path.join(home, 'scenes/a.txt'), 'A');
    await writeFile(path.join(home, 'scenes/sub/b.txt'), 'B');
    await writeFile(path.join(home, 'empty'), '');
    expect((await run('file', 'put', 'scenes', 'empty', 'mesh://film/x/')).stdout).toBe(
      '3 files (2 B) stored.\n',
    );
    expect([...(mesh.blobs.get('film')?.keys() ?? [])].sort()).toEqual([
      'x/empty',
      'x/scenes/a.txt',
      'x/scenes/sub/b.txt',
    ]);
    expect((await run('file', 'ls', 'film/x/scenes/')).stdout).toMatch(/x\/scenes\/a\.txt +1 B +1/);
    await run('file', 'get', 'film/x/', 'back');
    expect(await readFile(path.join(home, 'back/scenes/sub/b.txt'), 'utf8')).toBe('B');
    expect((await stat(path.join(home, 'back/empty'))).size).toBe(0);
  });

  test('take the name of an address that is no directory', async () => {
    await writeFile(path.join(home, 'a.txt'), 'A');
    await run('file', 'put', 'a.txt', 'mesh://film/named');
    expect((await run('file', 'get', 'mesh://film/named', '-')).stdout).toBe('A');
    await run('file', 'get', 'film/named');
    expect(await readFile(path.join(home, 'named'), 'utf8')).toBe('A');
  });

  test('come from a pipe', async () => {
    await shoal(['file', 'put', '-', 'film/piped'], { data: mesh.root, stdin: 'through' });
    expect(mesh.blobs.get('film')?.get('piped')?.toString()).toBe('through');
  });

  test('are deleted one by one or by the beginning of their names', async () => {
    mesh.blobs.set('film', new Map(['a/1', 'a/2', 'a/3', 'a/4', 'b'].map((name) => [name, Buffer.from('')])));
    expect((await run('file', 'rm', 'film/a/')).code).toBe(2);
    expect((await run('file', 'rm', '-r', 'film/a/')).stdout).toBe('4 files deleted.\n');
    await run('file', 'rm', 'film/b');
    expect(mesh.blobs.get('film')?.size).toBe(0);
  });

  test('whose names would leave the directory are refused', async () => {
    mesh.extra.set('GET /shoal/v1/containers/film/blobs', {
      items: [{ name: '../../escaped', sizeBytes: 1, holders: [] }],
    });
    const ended = await run('file', 'get', 'film/', 'back');
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('cannot be a path below');
  });

  test('are not written through a link that lies in the way', async () => {
    mesh.blobs.set('film', new Map([['dir/x', Buffer.from('X')]]));
    await mkdir(path.join(home, 'back'));
    await symlink('/tmp', path.join(home, 'back/dir'));
    const ended = await run('file', 'get', 'film/', 'back');
    expect(ended.stderr).toContain('is no directory');
  });

  test.each([
    [['file', 'put', 'x'], 'Give the address behind x'],
    [['file', 'put', 'a', 'b', 'film/one'], 'an address that ends with a slash'],
    [['file', 'get', 'Film/x'], 'mesh://CONTAINER/NAME'],
    [['file', 'get', 'film/a/../b'], 'empty, . or .. part'],
    [['file', 'put', 'nowhere', 'film/'], 'There is no file'],
    [['container', 'create', 'A_b'], 'lower-case letters'],
  ])('%j is refused', async (words, message) => {
    const ended = await run(...words);
    expect(ended.stderr).toContain(message);
    expect(ended.code).toBeGreaterThan(1);
  });
});

describe('tasks', () => {
  test('are added as a command, or as JSON in every form', async () => {
    await run('job', 'create', 'j');
    await run('task', 'add', 'j', '--id', 'one', '--', 'echo', 'a b', '--id');
    expect(mesh.jobs.get('j')?.tasks.get('one')?.spec).toEqual({ id: 'one', commandLine: "echo 'a b' --id" });
    await writeFile(
      path.join(home, 't.jsonl'),
      '{"id":"l1","commandLine":"true"}\n\n{"id":"l2","commandLine":"true"}\n',
    );
    expect((await run('task', 'add', 'j', '--json', 't.jsonl')).stdout).toBe('2 tasks added to job j.\n');
    const azure = JSON.stringify({ value: [{ id: 'v1', commandLine: 'true' }] });
    await shoal(['task', 'add', 'j', '--json', '-'], { data: mesh.root, stdin: azure });
    expect([...(mesh.jobs.get('j')?.tasks.keys() ?? [])]).toEqual(['one', 'l1', 'l2', 'v1']);
  });

  test('that cannot be read say where', async () => {
    await writeFile(path.join(home, 'bad'), '{"id":"a"}\n{oops\n');
    expect((await run('task', 'add', 'j', '--json', 'bad')).stderr).toContain('line 2 is not JSON');
    expect((await run('task', 'add', 'j', '--json', 'bad', '--slots', '2')).stderr).toContain(
      'leave --slots out',
    );
    expect((await run('task', 'add', 'j')).stderr).toContain('Give the command behind --');
  });

  test('show their logs, following until they end', async () => {
    await run('job', 'create', 'j');
    await run(
      'task',
      'add',
      'j',
      '--id',
      't',
      '--shell',
      '--',
      'echo out; echo err >&2; sleep 0.1; echo end',
    );
    expect((await run('task', 'logs', '-f', 'j', 't')).stdout).toBe('out\nend\n');
    expect((await run('task', 'logs', 'j', 't', '--stderr')).stdout).toBe('err\n');
    expect((await run('task', 'list', 'j')).stdout).toMatch(/^t +success +0/m);
  });

  test('logs on a terminal lose what would drive it', async () => {
    await run('job', 'create', 'j');
    await run('task', 'add', 'j', '--id', 't', '--', 'printf', '\u001b]0;x\u0007\u001b[31mred');
    await expect.poll(() => mesh.jobs.get('j')?.tasks.get('t')?.state).toBe('completed');
    const onTerminal = await shoal(['task', 'logs', 'j', 't'], { data: mesh.root, terminal: true });
    expect(onTerminal.stdout).toBe('\\x1b]0;x\\x07\u001b[31mred\u001b[0m');
    expect((await run('task', 'logs', 'j', 't')).stdout).toBe('\u001b]0;x\u0007\u001b[31mred');
  });

  test('that do not run are explained node by node', async () => {
    mesh.extra.set('GET /shoal/v1/jobs/j/tasks/t/explain', {
      state: 'active',
      reasons: [{ rule: 'job-disabled', detail: 'The job is held back.', remedy: 'shoal job enable j' }],
      nodes: [
        { node: 'one', verdict: 'refused', rule: 'slots', detail: 'All 2 slots are taken.', remedy: 'Wait.' },
      ],
    });
    const { stdout } = await run('task', 'explain', 'j', 't');
    expect(stdout).toBe(
      'Task t is active.\n  job-disabled: The job is held back.\n\nNODE  VERDICT  RULE   DETAIL\none   refused  slots  All 2 slots are taken.\n\nWhat to do:\n  shoal job enable j\n  Wait.\n',
    );
  });
});

describe('waiting for a job', () => {
  test('has an end', async () => {
    await run('job', 'create', 'j');
    await run('task', 'add', 'j', '--', 'sleep', '30');
    const ended = await run('job', 'wait', 'j', '--timeout', '120ms');
    expect(ended.code).toBe(7);
    expect(ended.stderr).toContain('still has 1 tasks');
  });
});

describe('the state of the mesh', () => {
  test('is told without a quorum', async () => {
    mesh.extra.set('GET /shoal/v1/status', STATUS);
    const { stdout } = await run('status');
    expect(stdout).toContain('isolation  cgroup');
    expect(stdout).toMatch(/mesh +leader +p1\/1 +2 +9\/9 +1/);
  });

  test('names the coordinator of a group where the agent knows its name', async () => {
    const groups = [{ ...STATUS.groups[0], leaderName: 'ada' }];
    mesh.extra.set('GET /shoal/v1/status', { ...STATUS, groups });
    expect((await run('status')).stdout).toMatch(/mesh +leader +ada +2/);
  });

  test('is examined by the doctor, whose exit code says if something is wrong', async () => {
    mesh.extra.set('GET /shoal/v1/status', STATUS);
    mesh.extra.set('GET /shoal/v1/machines', { items: [] });
    expect((await run('doctor')).code).toBe(0);
    mesh.extra.set('GET /shoal/v1/status', {
      ...STATUS,
      groups: [{ ...STATUS.groups[0], leader: undefined }],
    });
    const ill = await run('doctor');
    expect(ill.code).toBe(7);
    expect(ill.stdout).toContain('see: shoal recover mesh');
  });

  test('a join token stands alone on standard output', async () => {
    mesh.extra.set('POST /shoal/v1/tokens', { id: 'k', token: 'shoal1abc', expiresAtMs: Date.now() + 1000 });
    expect(await run('token', 'create', '--valid', '10m', '--uses', '3')).toEqual({
      code: 0,
      stdout: 'shoal1abc\n',
      stderr: '',
    });
  });
});

describe('the agent’s own commands', () => {
  test('are loaded when they are called, and not for their help', async () => {
    expect((await run('agent', '--help')).code).toBe(0);
    expect((await run('init')).stderr).toBe('error: the agent was loaded\n');
  });
});
