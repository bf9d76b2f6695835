import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { forEachConcurrent } from '../../../src/cli/concurrent.ts';
import { addressOf, dataDirectory } from '../../../src/cli/connection.ts';
import { type Check, diagnose, exitCodeOfChecks, type Facts } from '../../../src/cli/diagnosis.ts';
import { parseFileAddress } from '../../../src/cli/file-address.ts';
import { prepareTarget, readFileExactly, walkFiles } from '../../../src/cli/local-files.ts';
import { findInputs } from '../../../src/cli/run/inputs.ts';
import { duration, durationMs, id, integer, settings } from '../../../src/cli/values.ts';
import { systemWorld, type World } from '../../../src/cli/world.ts';
import { ShoalError } from '../../../src/lib/errors.ts';

let home: string;

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'shoal-local-'));
  await mkdir(path.join(home, 'tree/sub'), { recursive: true });
  await writeFile(path.join(home, 'tree/b'), 'bb');
  await writeFile(path.join(home, 'tree/a'), 'a');
  await writeFile(path.join(home, 'tree/sub/c'), 'ccc');
  await symlink('/etc/passwd', path.join(home, 'tree/link'));
});

afterAll(async () => {
  await rm(home, { recursive: true });
});

describe('flag values', () => {
  test('times are short, bare seconds or ISO 8601', () => {
    expect(['90', '90s', '1.5h', '250ms', '7d', 'PT15M'].map(durationMs)).toEqual([
      90_000, 90_000, 5_400_000, 250, 604_800_000, 900_000,
    ]);
    expect(duration('90m')).toBe('PT1H30M');
    for (const wrong of ['', '-1', '0', '5w', 'soon', '1e3', 'P1Y'])
      expect(() => durationMs(wrong), wrong).toThrow('It must be a time');
  });

  test('numbers are whole and within their range', () => {
    expect(integer(-1, 5)('-1')).toBe(-1);
    for (const wrong of ['', '6', '-2', '1.5', '0x1', '1e1', ' 1', 'NaN'])
      expect(() => integer(-1, 5)(wrong), wrong).toThrow('from -1 to 5');
    expect(() => integer(1)('0')).toThrow('at least 1');
  });

  test('settings keep everything behind their first equals sign', () => {
    expect(settings('B=x=y', settings('A='))).toEqual([
      { name: 'A', value: '' },
      { name: 'B', value: 'x=y' },
    ]);
    for (const wrong of ['A', '=x', '']) expect(() => settings(wrong)).toThrow('NAME=VALUE');
  });

  test('ids are those of Azure Batch', () => {
    expect(id('Job_1-a')).toBe('Job_1-a');
    for (const wrong of ['', 'a b', 'ä', 'a/b', 'x'.repeat(65)]) expect(() => id(wrong)).toThrow('An id is');
  });

  test('addresses of files know whether they are one or many', () => {
    expect(parseFileAddress('mesh://film/a/b')).toEqual({
      container: 'film',
      path: 'a/b',
      isDirectory: false,
    });
    expect(parseFileAddress('film/a/')).toEqual({ container: 'film', path: 'a', isDirectory: true });
    expect(parseFileAddress('film')).toEqual({ container: 'film', path: '', isDirectory: true });
    for (const wrong of ['', '/film/a', 'FILM/a', 'http://x/y', 'film//a'])
      expect(() => parseFileAddress(wrong), wrong).toThrow();
  });
});

describe('which agent', () => {
  const world = (env: Record<string, string>, more: Partial<World> = {}): World => ({
    ...systemWorld(),
    env,
    home: '/home/u',
    isRoot: false,
    directory: '/work',
    ...more,
  });
  const KEY = Buffer.from('key').toString('base64');

  test('the data directory is the flag, the environment, root’s, XDG’s or the home’s', () => {
    expect(dataDirectory('d', world({ SHOAL_DATA: '/e' }))).toBe('/work/d');
    expect(dataDirectory(undefined, world({ SHOAL_DATA: '/e' }))).toBe('/e');
    expect(dataDirectory(undefined, world({}, { isRoot: true }))).toBe('/var/lib/shoal');
    expect(dataDirectory(undefined, world({ XDG_DATA_HOME: '/x' }))).toBe('/x/shoal');
    expect(dataDirectory(undefined, world({ XDG_DATA_HOME: 'relative' }))).toBe('/home/u/.local/share/shoal');
  });

  test('an endpoint in the environment gives way to a data directory on the command line', () => {
    const env = { SHOAL_ENDPOINT: 'http://h:1', SHOAL_ACCOUNT: 'a', SHOAL_KEY: KEY };
    expect(addressOf({}, world(env))).toMatchObject({
      kind: 'endpoint',
      credentials: { account: 'a', key: KEY },
    });
    expect(addressOf({ data: '/d' }, world(env))).toEqual({ kind: 'socket', path: '/d/api.sock' });
  });

  test('what cannot be an endpoint is refused with a code', () => {
    const signed = world({ SHOAL_ACCOUNT: 'a', SHOAL_KEY: KEY });
    for (const url of ['h:1', 'ftp://h', 'http://u:p@h', 'http://h?x=1']) {
      expect(() => addressOf({ endpoint: url }, signed), url).toThrow('http://HOST:PORT');
    }
    expect(() => addressOf({ endpoint: 'http://h' }, world({}))).toThrow('SHOAL_ACCOUNT');
    expect(() =>
      addressOf({ endpoint: 'http://h' }, world({ SHOAL_ACCOUNT: 'a', SHOAL_KEY: 'no base64!' })),
    ).toThrow('base64');
    expect(() => addressOf({ endpoint: 'http://h', data: 'd' }, signed)).toThrow('not both');
  });
});

describe('local files', () => {
  test('are walked in order, without links', async () => {
    const { files, skipped } = await walkFiles(path.join(home, 'tree'));
    expect(files.map((file) => [file.relative, file.sizeBytes])).toEqual([
      ['a', 1],
      ['b', 2],
      ['sub/c', 3],
    ]);
    expect(skipped).toEqual([path.join(home, 'tree/link')]);
  });

  test('are read to the length that was announced, and one that shrank is an error', async () => {
    const read = async (size: number): Promise<string> => {
      let text = '';
      for await (const chunk of readFileExactly(path.join(home, 'tree/sub/c'), size))
        text += Buffer.from(chunk).toString();
      return text;
    };
    expect([await read(0), await read(2), await read(3)]).toEqual(['', 'cc', 'ccc']);
    await expect(read(4)).rejects.toThrow('became shorter');
  });

  test('nothing is written outside the directory that was named', async () => {
    const root = path.join(home, 'target');
    expect(await prepareTarget(root, 'x/y')).toBe(path.join(root, 'x/y'));
    for (const wrong of ['../x', '/x', 'a/../../x', '', 'a//b', 'a\u0000b']) {
      await expect(prepareTarget(root, wrong), wrong).rejects.toMatchObject({ code: 'InvalidArgument' });
    }
  });
});

describe('inputs of a run', () => {
  const choices = ['tree/a', 'tree/b'].map((item, index) => ({ items: [item], number: index + 1 }));

  test('keep the path that was given, so that {} names them in the task too', async () => {
    const found = await findInputs(['tree/sub', './{}'], home, choices);
    expect(found.shared.map((file) => file.name)).toEqual(['tree/sub/c']);
    expect(choices.map((choice) => found.own(choice).map((file) => file.name))).toEqual([
      ['tree/a'],
      ['tree/b'],
    ]);
    expect(found.ownFiles).toHaveLength(2);
  });

  test('from outside the directory keep their last name', async () => {
    const found = await findInputs([path.join(home, 'tree/a'), '../tree/b'], path.join(home, 'target'), []);
    expect(found.shared.map((file) => file.name)).toEqual(['a', 'b']);
  });

  test('that would have one name in the task are refused', async () => {
    await expect(
      findInputs([path.join(home, 'tree/a'), path.join(home, 'tree/sub'), 'tree/sub/../a'], home, []),
    ).resolves.toBeDefined();
    await mkdir(path.join(home, 'other'), { recursive: true });
    await writeFile(path.join(home, 'other/a'), 'x');
    const twice = [path.join(home, 'tree/a'), path.join(home, 'other/a')];
    await expect(findInputs(twice, home, [])).rejects.toThrow('Two inputs would both be a');
  });
});

describe('work at the same time', () => {
  test('is bounded, and ends with the first failure', async () => {
    let running = 0;
    let most = 0;
    const begun: number[] = [];
    const work = async (item: number): Promise<void> => {
      begun.push(item);
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      if (item === 5) throw new Error('five');
    };
    await expect(
      forEachConcurrent(
        Array.from({ length: 100 }, (_, index) => index),
        3,
        work,
      ),
    ).rejects.toThrow('five');
    expect(most).toBe(3);
    expect(begun.length).toBeLessThan(12);
    expect(running).toBe(0);
  });
});

describe('a diagnosis', () => {
  const machine = (
    name: string,
    alive: boolean,
  ): NonNullable<Exclude<Facts['machines'], ShoalError>>[number] => ({
    id: `${name}/1`,
    peer: name,
    name,
    capacity: {
      cores: 1,
      memoryBytes: 1,
      diskBytes: 1,
      gpus: 0,
      labels: [],
      isolation: 'cgroup',
      operatingSystem: 'linux',
    },
    addresses: ['/ip4/10.0.0.2/tcp/1'],
    version: '0.1.0',
    joinedAtMs: 0,
    scheduling: 'enabled',
    alive,
    nodes: [],
    votesIn: [],
  });
  const healthy: Facts = {
    nodeVersion: '20.19.0',
    where: '/d/api.sock',
    nowMs: 1_000_000,
    clockSkewMs: 400,
    diskFreeBytes: 1e12,
    dataDirectory: '/d',
    machines: [machine('self', true), machine('up', true)],
    status: {
      meshId: 'm',
      machine: { id: 'self/1', name: 'self', addresses: [], version: '0.1.0', pid: 1, startedAtMs: 0 },
      connectedPeers: ['up'],
      groups: [
        { group: 'mesh', role: 'follower', leader: 'up/1', term: 1, commit: 1, applied: 1, voters: ['up/1'] },
      ],
      runner: { tier: 'namespace', pid: 1, running: 0, waiting: 0 },
    },
  };
  const status = healthy.status instanceof Error ? undefined : healthy.status;
  const bad = (facts: Facts): Check[] => diagnose(facts).filter((check) => check.verdict !== 'ok');

  test('of a healthy machine finds nothing', () => {
    expect(bad(healthy)).toEqual([]);
    expect(exitCodeOfChecks(diagnose(healthy), healthy)).toBe(0);
  });

  test.each<[string, Partial<Facts>, string, number]>([
    ['an old Node', { nodeVersion: '18.20.0' }, 'node', 1],
    ['an agent that is away', { status: new ShoalError('AgentUnreachable') }, 'agent', 6],
    ['a clock that is off', { clockSkewMs: -90_000 }, 'clock', 1],
    ['a full disk', { diskFreeBytes: 1 }, 'disk', 1],
    ['a disk that fills', { diskFreeBytes: 5e8 }, 'disk', 0],
    ['a machine that is up and cut off', { machines: [machine('far', true)] }, 'connection to far', 1],
    ['a machine that is down', { machines: [machine('gone', false)] }, 'machine gone', 0],
    ['no quorum for reading', { machines: new ShoalError('NoQuorum') }, 'members', 1],
  ])('of %s names it, with a remedy', (_name, change, check, exitCode) => {
    const facts = { ...healthy, ...change };
    const found = bad(facts);
    expect(found.map((one) => one.check)).toEqual([check]);
    expect(found[0]?.remedy).toBeTruthy();
    expect(exitCodeOfChecks(diagnose(facts), facts)).toBe(exitCode);
  });

  test('of a group without a coordinator is a matter of quorum', () => {
    if (status === undefined) throw new Error('unreachable');
    const facts = {
      ...healthy,
      status: { ...status, groups: status.groups.map((group) => ({ ...group, leader: undefined })) },
    };
    expect(bad(facts)[0]?.remedy).toContain('shoal recover mesh');
    expect(exitCodeOfChecks(diagnose(facts), facts)).toBe(7);
    const scanned = { ...healthy, status: { ...status, runner: { ...status.runner, tier: 'scan' } } };
    expect(bad(scanned).map((check) => check.check)).toEqual(['isolation']);
  });
});
