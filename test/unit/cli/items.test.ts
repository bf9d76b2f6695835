import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { Combinations, itemsOfText, splitOperands } from '../../../src/cli/run/items.ts';
import { containerName, generatedJobId, RunPlan, type RunWish } from '../../../src/cli/run/plan.ts';
import { checkPlaceholders, expand, expandWords, usesItems } from '../../../src/cli/run/template.ts';
import { isValidContainerName } from '../../../src/model/blob.ts';
import { joinCommandLine, quoteArgument, shellCommandLine } from '../../../src/model/command-line.ts';
import { parseCommandLine } from '../../../src/model/parse-command-line.ts';
import { fc } from '../../support/properties.ts';

const choice = (...items: string[]): { items: string[]; number: number } => ({ items, number: 3 });

describe('the words behind the flags', () => {
  test('are the command, lists behind :::, and files behind ::::', () => {
    expect(splitOperands(['cp', '{1}', ':::', 'a', 'b', '::::', 'f', 'g', ':::', 'c'])).toEqual({
      command: ['cp', '{1}'],
      sources: [
        { kind: 'list', items: ['a', 'b'] },
        { kind: 'file', path: 'f' },
        { kind: 'file', path: 'g' },
        { kind: 'list', items: ['c'] },
      ],
    });
    expect(splitOperands(['make']).sources).toEqual([]);
    expect(splitOperands(['echo', ':::']).sources).toEqual([{ kind: 'list', items: [] }]);
  });

  test('a list in a file has an item a line, and an empty line is an empty item', () => {
    expect(itemsOfText('a\n\nb c\n', '\n')).toEqual(['a', '', 'b c']);
    expect(itemsOfText('a\nb\0c', '\0')).toEqual(['a\nb', 'c']);
    expect(itemsOfText('', '\n')).toEqual([]);
  });
});

describe('combinations', () => {
  test('come with the last list changing fastest', () => {
    const all = new Combinations([
      ['a', 'b'],
      ['1', '2'],
    ]);
    expect([0, 1, 2, 3].map((index) => all.at(index).join(''))).toEqual(['a1', 'a2', 'b1', 'b2']);
  });

  test('of no lists are one, of an empty list none', () => {
    expect(new Combinations([]).count).toBe(1);
    expect(new Combinations([]).at(0)).toEqual([]);
    expect(new Combinations([['a'], []]).count).toBe(0);
  });

  test('beyond a million are refused before they are made', () => {
    const thousand = Array.from({ length: 1_001 }, String);
    expect(() => new Combinations([thousand, thousand])).toThrow('at most 1000000');
  });

  test('are all of them, each once', () => {
    const lists = fc.array(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(
        lists.filter((all) => !all.flat().some((item) => item.includes('\0'))),
        (all) => {
          const combinations = new Combinations(all);
          const seen = Array.from({ length: combinations.count }, (_, index) =>
            JSON.stringify(combinations.at(index)),
          );
          expect(new Set(seen).size).toBe(all.reduce((product, list) => product * list.length, 1));
        },
      ),
    );
  });
});

describe('replacement strings', () => {
  test.each([
    ['{}', 'a/b.tar.gz', 'a/b.tar.gz'],
    ['{.}', 'a/b.tar.gz', 'a/b.tar'],
    ['{.}', 'v1.2/readme', 'v1.2/readme'],
    ['{/}', 'a/b.tar.gz', 'b.tar.gz'],
    ['{//}', 'a/b.tar.gz', 'a'],
    ['{//}', 'b', '.'],
    ['{/.}', 'a/b.tar.gz', 'b.tar'],
    ['{#}-{}', 'x', '3-x'],
    ['a{}b{}', 'x', 'axbx'],
    ['{print $1} {unknown}', 'x', '{print $1} {unknown}'],
  ])('%s of %s is %s', (template, item, expected) => {
    expect(expand(template, choice(item))).toBe(expected);
  });

  test('of several lists: {} is all of them, as words of their own where it stands alone', () => {
    expect(expandWords(['cp', '{}', 'x{}', '{2/}'], choice('a', 'd/b'))).toEqual([
      'cp',
      'a',
      'd/b',
      'xa d/b',
      'b',
    ]);
  });

  test('an item is not expanded a second time', () => {
    expect(expand('{1}{2}', choice('{2}', '{#}'))).toBe('{2}{#}');
    expect(expand('{}', choice('$&'))).toBe('$&');
  });

  test('of a list that is not there are refused', () => {
    expect(() => checkPlaceholders(['{1}', '{3.}'], 2)).toThrow('{3.} names a list that is not there');
    expect(() => checkPlaceholders(['{2}'], 2)).not.toThrow();
  });

  test('{#} alone asks for no item', () => {
    expect(usesItems(['{#}'])).toBe(false);
    expect(usesItems(['a{//}'])).toBe(true);
  });
});

describe('a command line', () => {
  const words = fc.array(
    fc.string({ unit: 'binary' }).filter((word) => !word.includes('\0')),
    { minLength: 1, maxLength: 6 },
  );

  test('is read back by the agent as the words it was made of', () => {
    fc.assert(
      fc.property(
        words.filter(([program]) => program !== ''),
        (list) => {
          expect(parseCommandLine(joinCommandLine(list))).toEqual(list);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('means the same to a shell', () => {
    const list = [
      "it's",
      '',
      'a b',
      '$HOME',
      '`id`',
      '"',
      '\\',
      '\n',
      '*',
      '~',
      '-x=y',
      'a=b',
      '#',
      '!',
      'ä',
    ];
    const printed = execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${joinCommandLine(list)}`]).toString();
    expect(printed.split('\0').slice(0, -1)).toEqual(list);
  });

  test('leaves plain words plain', () => {
    expect(joinCommandLine(['/usr/bin/convert', '--size=10', 'a.png'])).toBe(
      '/usr/bin/convert --size=10 a.png',
    );
    expect(quoteArgument('a=b')).toBe("'a=b'");
    expect(parseCommandLine(shellCommandLine("echo 'x'"))).toEqual(['/bin/sh', '-c', "echo 'x'"]);
  });
});

describe('a plan', () => {
  const wish = (more: Partial<RunWish> = {}): RunWish => ({
    job: 'job',
    pool: 'default',
    command: ['echo', '{}'],
    combinations: new Combinations([['a b', 'c']]),
    shell: false,
    env: [],
    outputs: [],
    ...more,
  });
  const none = { shared: [], own: () => [] };

  test('has a task for each item, with ids that sort in their order', () => {
    const specs = [...new RunPlan(wish()).taskSpecs(none)];
    expect(specs).toEqual([
      { id: '0001', commandLine: "echo 'a b'" },
      { id: '0002', commandLine: 'echo c' },
    ]);
    const many = new RunPlan(
      wish({ combinations: new Combinations([Array.from({ length: 10_000 }, String)]) }),
    );
    expect(many.taskId(0)).toBe('00001');
  });

  test('in a shell quotes items and leaves the script alone', () => {
    const plan = new RunPlan(wish({ shell: true, command: ['wc -l < {} | sort'] }));
    expect(parseCommandLine(plan.commandLine(plan.choice(0)))).toEqual([
      '/bin/sh',
      '-c',
      "wc -l < 'a b' | sort",
    ]);
  });

  test('puts slots, times, retries and environment where Azure Batch has them', () => {
    const plan = new RunPlan(
      wish({ slots: 2, timeout: 'PT1M', retries: 3, parallel: 4, env: [{ name: 'A', value: '1' }] }),
    );
    expect(plan.jobSpec()).toEqual({
      id: 'job',
      poolInfo: { poolId: 'default' },
      maxParallelTasks: 4,
      constraints: { maxTaskRetryCount: 3 },
      commonEnvironmentSettings: [{ name: 'A', value: '1' }],
    });
    expect([...plan.taskSpecs(none)][0]).toMatchObject({
      requiredSlots: 2,
      constraints: { maxWallClockTime: 'PT1M' },
    });
  });

  test('keeps outputs apart by task: a plain name whole, a pattern as a prefix', () => {
    const plan = new RunPlan(
      wish({ outputs: ['./{.}.png', 'out/*.log'], combinations: new Combinations([['x.svg', 'a[1].svg']]) }),
    );
    const places = [...plan.taskSpecs(none)].map((spec) =>
      spec.outputFiles?.map((output) => [output.filePattern, output.destination.container.path]),
    );
    expect(places).toEqual([
      [
        ['./x.png', '0001/x.png'],
        ['out/*.log', '0001'],
      ],
      [
        ['./a[[]1].png', '0002'],
        ['out/*.log', '0002'],
      ],
    ]);
  });

  test('names many shared inputs by their container, and few each by itself', () => {
    const file = (name: string): { file: string; name: string; sizeBytes: number } => ({
      file: `/x/${name}`,
      name,
      sizeBytes: 1,
    });
    const plan = new RunPlan(wish());
    const few = [...plan.taskSpecs({ shared: [file('a')], own: ({ number }) => [file(`own${number}`)] })][0];
    expect(few?.resourceFiles).toEqual([
      { httpUrl: 'mesh://job-in/a', filePath: 'a' },
      { httpUrl: 'mesh://job-own/own1', filePath: 'own1' },
    ]);
    const shared = Array.from({ length: 33 }, (_, index) => file(`f${index}`));
    expect([...plan.taskSpecs({ ...none, shared })][0]?.resourceFiles).toEqual([
      { storageContainerUrl: 'mesh://job-in' },
    ]);
  });

  test('refuses a command that no task can have', () => {
    const plan = new RunPlan(wish({ combinations: new Combinations([['x'.repeat(200_000)]]) }));
    expect(() => plan.commandLine(plan.choice(0))).toThrow('more than 131072 bytes');
  });
});

describe('the name of a container', () => {
  test('is the job in lower case where that is a name', () => {
    expect(containerName('Nightly-7', 'out')).toBe('nightly-7-out');
  });

  test('is always valid, and another one for another job', () => {
    const ids = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    fc.assert(
      fc.property(ids, ids, (left, right) => {
        for (const suffix of ['in', 'own', 'out'] as const) {
          const name = containerName(left, suffix);
          expect(isValidContainerName(name), name).toBe(true);
          if (left.toLowerCase() !== right.toLowerCase()) expect(name).not.toBe(containerName(right, suffix));
        }
      }),
      { numRuns: 500 },
    );
    expect(containerName('a_b', 'in')).not.toBe(containerName('a-b', 'in'));
  });
});

test('a generated job id is a valid id with its date', () => {
  expect(generatedJobId(new Date('2026-01-31T23:00:00Z'), '4f9c2a1b')).toBe('run-20260131-4f9c2a1b');
});
