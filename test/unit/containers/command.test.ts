import { describe, expect, it } from 'vitest';
import {
  containerName,
  environmentLines,
  judgeExit,
  removeArguments,
  runArguments,
} from '../../../agent/runner/container-command.ts';
import type { ContainerEngine, ContainerLaunch, Launch, NodeSetup } from '../../../agent/runner/interface.ts';

const engine: ContainerEngine = {
  kind: 'podman',
  program: '/usr/bin/podman',
  environment: {},
  user: '1000:1000',
  isRootless: false,
};
const setup: NodeSetup = {
  node: 'node',
  slots: 1,
  environment: {},
  uid: 2_000_001,
  gid: 2_000_001,
  rootDirectory: '/data/nodes/node',
  memoryBytesMax: 1_000,
};
const launch: Launch = {
  key: { pool: 'pool', job: 1, task: 1, epoch: 1 },
  node: 'node',
  lease: 'pool',
  slots: 1,
  priority: 0,
  argv: ['/bin/echo', '--privileged'],
  environment: {},
  taskDirectory: '/data/nodes/node/t',
  workingDirectory: '/data/nodes/node/t/wd',
  wallClockMsMax: undefined,
  outputBytesMax: 1,
};
const files = { environment: '/p/n.env', id: '/p/n.id', monitor: '/p/n.pid' };

function argumentsOf(container: Partial<ContainerLaunch>, node: NodeSetup = setup): readonly string[] {
  const whole = {
    engine,
    image: 'image',
    options: ['--read-only'],
    entersWorkingDirectory: true,
    ...container,
  };
  return runArguments('name', launch, whole, node, files, []);
}

describe('the command line of a container', () => {
  it('has the image behind all options, and what the task runs behind the image', () => {
    const words = argumentsOf({});
    expect(words.slice(words.indexOf('--read-only'))).toEqual([
      '--read-only',
      'image',
      '/bin/echo',
      '--privileged',
    ]);
    expect(words.slice(0, 2)).toEqual(['run', '--rm']);
    expect(words).toContain('--mount=type=bind,source=/data/nodes/node,target=/data/nodes/node');
    expect(words).toContain('--workdir=/data/nodes/node/t/wd');
  });

  it('makes the user of the node its own; without root, that of the agent', () => {
    expect(argumentsOf({})).toContain('--user=2000001:2000001');
    const plain = { ...setup, uid: undefined, gid: undefined };
    const rootless = argumentsOf({ engine: { ...engine, isRootless: true } }, plain);
    expect(rootless).toEqual(expect.arrayContaining(['--userns=keep-id', '--user=1000:1000']));
    const docker = argumentsOf({ engine: { ...engine, kind: 'docker', isRootless: true } }, plain);
    expect(docker).toContain('--user=1000:1000');
    expect(docker).not.toContain('--userns=keep-id');
  });

  it('leaves the bound of memory to a daemon, whose containers the runner does not see', () => {
    expect(argumentsOf({ engine: { ...engine, kind: 'docker' } })).toContain('--memory=1000');
    expect(argumentsOf({}).join(' ')).not.toContain('--memory');
  });

  it.each([
    ['docker', [], ['--memory=1000', '--pids-limit=8192']],
    ['docker', ['--memory=999', '--pids-limit=10'], []],
    ['docker', ['--memory=1k', '--pids-limit=9000'], ['--memory=1000', '--pids-limit=8192']],
    ['docker', ['--memory=100g', '--pids-limit=-1'], ['--memory=1000', '--pids-limit=8192']],
    ['docker', ['--memory=0', '--pids-limit=0'], ['--memory=1000', '--pids-limit=8192']],
    ['docker', ['--memory=5', '--memory=5g', '--pids-limit=5'], ['--memory=1000']],
    ['podman', [], []],
    ['podman', ['--pids-limit=10'], []],
    ['podman', ['--pids-limit=-1'], ['--pids-limit=8192']],
  ] as const)(
    'lets a task of %s with %j have no more than its machine gives: %j',
    (kind, options, bounds) => {
      const words = argumentsOf({ engine: { ...engine, kind }, options });
      const last = options.at(-1) ?? '--workdir=/data/nodes/node/t/wd';
      expect(words.slice(words.indexOf(last) + 1, words.indexOf('image'))).toEqual(bounds);
    },
  );

  it('shows no variable to who lists processes, but for one that no line can hold', () => {
    const { text, multiLine } = environmentLines({ TOKEN: 's e=cret', '#odd': 'x', LINES: 'a\nb' });
    expect(text).toBe('TOKEN=s e=cret\n');
    expect(multiLine).toEqual(['#odd=x', 'LINES=a\nb']);
  });

  it('removes by a name that stands for one execution of one runner', () => {
    expect(containerName('runner', 'pool/1/1/1')).toMatch(/^shoal-[0-9a-f]{32}$/);
    expect(containerName('runner', 'pool/1/1/1')).not.toBe(containerName('runner', 'pool/1/1/2'));
    expect(containerName('runner', 'pool/1/1/1')).not.toBe(containerName('other', 'pool/1/1/1'));
    expect(removeArguments(engine, 'name')).toEqual(['rm', '--force', '--ignore', '--time=0', 'name']);
    expect(removeArguments({ ...engine, kind: 'docker' }, 'name')).toEqual(['rm', '--force', 'name']);
  });
});

describe('an exit code of the engine', () => {
  it.each([
    [0, true, '', undefined],
    [125, true, 'my own words', undefined],
    [125, false, '', 'launchFailed'],
    [125, true, 'Error: crun: no', 'launchFailed'],
    [127, true, 'sh: x: not found', undefined],
    [127, true, 'Error: crun: executable file `x` not found in $PATH', 'programNotFound'],
    [126, true, 'docker: Error response from daemon: permission denied', 'programNotFound'],
    [126, true, 'Error: crun: cgroups in hybrid mode not supported', 'launchFailed'],
  ])('%i (created: %s, "%s") means %s', (code, wasCreated, words, meaning) => {
    expect(judgeExit(code, wasCreated, words)).toBe(meaning);
  });
});
