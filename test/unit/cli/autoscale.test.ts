import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AutoScaleExplanation } from '../../../src/model/autoscale.ts';
import { shoal } from './shell.ts';
import { SmallMesh } from './small-mesh.ts';

let mesh: SmallMesh;

beforeEach(async () => {
  mesh = await SmallMesh.start();
});

afterEach(async () => {
  await mesh.stop();
});

const run = (...words: string[]): ReturnType<typeof shoal> => shoal(words, { data: mesh.root });

const EXPLANATION: AutoScaleExplanation = {
  pool: 'p',
  formula: '…',
  targetDedicatedNodes: 1,
  targetLowPriorityNodes: 0,
  currentDedicatedNodes: 1,
  currentLowPriorityNodes: 0,
  intervalMs: 900_000,
  onChange: true,
  lastRun: { timestampMs: 1_000, results: '' },
  evaluation: {
    timestampMs: 61_000,
    results: '',
    targets: { targetDedicatedNodes: 3, targetLowPriorityNodes: 0, nodeDeallocationOption: 'taskcompletion' },
    statements: [
      {
        line: 1,
        text: 'many = avg($PendingTasks\n  .GetSample(30))',
        variable: 'many',
        value: '3.5',
        reads: [
          { text: '$PendingTasks\n  .GetSample(30)', variable: '$PendingTasks', count: 30, newest: [3, 4] },
        ],
      },
      {
        line: 3,
        text: '$TargetDedicatedNodes = many * $TaskSlotsPerNode',
        variable: '$TargetDedicatedNodes',
        value: '3',
        reads: [{ text: '$TaskSlotsPerNode', variable: '$TaskSlotsPerNode', count: 1, newest: [1] }],
      },
    ],
  },
  heldBack: [{ rule: 'AllocationFailed', detail: '2 of 3 found no machine.', remedy: 'Add machines.' }],
};

describe('shoal pool explain-autoscale', () => {
  test('shows statements, samples, targets, and what holds them back', async () => {
    mesh.extra.set('POST /shoal/v1/pools/p/explain-autoscale', EXPLANATION);
    const { stdout, code } = await run('pool', 'explain-autoscale', 'p');
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'LINE  VALUE  STATEMENT',
        '   1  3.5    many = avg($PendingTasks .GetSample(30))',
        '   3  3      $TargetDedicatedNodes = many * $TaskSlotsPerNode',
        '',
        'Samples, the newest last:',
        '  line 1: $PendingTasks .GetSample(30): 30 samples: … 3 4',
        '  line 3: $TaskSlotsPerNode: 1',
        '',
        'Dedicated nodes: target 1 -> 3, 1 there.',
        'Low-priority nodes: target stays at 0, 0 there.',
        'Nodes that leave: taskcompletion.',
        'Evaluated every 15m and when its work changes, last 1m ago.',
        '',
        'What holds it back:',
        '  AllocationFailed: 2 of 3 found no machine.',
        '    Add machines.',
        '',
      ].join('\n'),
    );
  });

  test('is the explanation itself as JSON', async () => {
    mesh.extra.set('POST /shoal/v1/pools/p/explain-autoscale', EXPLANATION);
    const { stdout } = await run('pool', 'explain-autoscale', 'p', '--output', 'json');
    expect(JSON.parse(stdout)).toEqual(EXPLANATION);
  });
});

describe('shoal pool autoscale', () => {
  test('enables with a formula or a file, and disables', async () => {
    mesh.extra.set('POST /pools/p/enableautoscale', {});
    mesh.extra.set('POST /pools/p/disableautoscale', {});
    const file = path.join(mesh.root, 'formula.txt');
    await writeFile(file, 'x = 1;\n');
    for (const flags of [
      ['--formula', 'x = 1'],
      ['--formula-file', file, '--interval', '30s'],
      ['--on-change'],
    ])
      expect(await run('pool', 'autoscale', 'p', ...flags)).toMatchObject({
        code: 0,
        stdout: 'Pool p is sized by its formula.\n',
      });
    expect(await run('pool', 'autoscale', 'p', '--off')).toMatchObject({
      code: 0,
      stdout: 'Pool p keeps its size.\n',
    });
    expect(mesh.requests.filter((request) => request.endsWith('/enableautoscale'))).toHaveLength(3);
  });

  test.each([
    [[], '--formula'],
    [['--off', '--formula', 'x = 1'], 'cannot be used with'],
    [['--formula', 'x', '--formula-file', 'y'], 'cannot be used with'],
    [['--interval', 'soon'], 'It must be a time'],
    [['--formula-file', '/nowhere/at/all'], '/nowhere/at/all'],
  ])('with %j is refused', async (flags, message) => {
    const { code, stderr } = await run('pool', 'autoscale', 'p', ...flags);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
    expect(mesh.requests).toEqual([]);
  });
});
