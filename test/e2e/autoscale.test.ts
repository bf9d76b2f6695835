/** A pool that is sized by a formula, on three agents. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { PoolResource } from '../../src/client/shapes.ts';
import type { AutoScaleExplanation } from '../../src/model/autoscale.ts';
import { shoal, shoalJson } from './shell.ts';

const SCALE_MS_MAX = 60_000;
const FORMULA = '$TargetDedicatedNodes = min(3, $PendingTasks); $NodeDeallocationOption = taskcompletion;';

let mesh: LocalMesh;
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-scale-'));
  await chmod(scratch, 0o777);
  mesh = await LocalMesh.start(3);
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});

async function ok(...words: string[]): Promise<string> {
  const ran = await shoal(words, { data: mesh.alive().data });
  expect(ran, words.join(' ')).toMatchObject({ code: 0 });
  return ran.stdout;
}

function pool(): Promise<PoolResource> {
  return shoalJson(['pool', 'show', 'burst'], { data: mesh.alive().data });
}

/** Tasks that run until the file is there. */
async function addTasks(job: string, file: string, count: number): Promise<void> {
  for (let task = 1; task <= count; task += 1) {
    const command = `until [ -e ${join(scratch, file)} ]; do sleep 0.1; done`;
    await ok('task', 'add', job, '--id', `t${task}`, '--shell', '--', command);
  }
}

async function untilNodes(count: number): Promise<void> {
  await until(`the pool has ${count} nodes`, SCALE_MS_MAX, async () => {
    const { currentDedicatedNodes, targetDedicatedNodes } = await pool();
    return currentDedicatedNodes === count && targetDedicatedNodes === count;
  });
}

it('grows with the tasks that wait and shrinks when they are done', async () => {
  await ok('pool', 'create', 'burst', '--size', 'shoal.1c1g', '--formula', FORMULA, '--on-change');
  await ok('job', 'create', 'first', '--pool', 'burst');
  await until(
    'the formula was evaluated',
    SCALE_MS_MAX,
    async () => (await pool()).autoScaleRun !== undefined,
  );
  expect(await pool()).toMatchObject({ enableAutoScale: true, targetDedicatedNodes: 0 });
  await addTasks('first', 'go-1', 3);
  await untilNodes(3);
  const { heldBack, evaluation } = await shoalJson<AutoScaleExplanation>(
    ['pool', 'explain-autoscale', 'burst'],
    { data: mesh.alive().data },
  );
  expect(evaluation.statements[0]).toMatchObject({ value: '3', reads: [{ variable: '$PendingTasks' }] });
  expect(heldBack.filter(({ rule }) => rule !== 'resizing')).toEqual([]);
  await writeFile(join(scratch, 'go-1'), '');
  await ok('job', 'wait', 'first', '--timeout', '60s');
  await untilNodes(0);
});

it('is scaled by the next coordinator when the first is lost', async () => {
  await mesh.killMachine(await mesh.leader('pool:burst'));
  await ok('job', 'create', 'second', '--pool', 'burst');
  await addTasks('second', 'go-2', 2);
  await untilNodes(2);
  await writeFile(join(scratch, 'go-2'), '');
  await ok('job', 'wait', 'second', '--timeout', '60s');
  await untilNodes(0);
});

it('keeps its size once the formula is off, and can be resized by hand', async () => {
  const refused = await shoal(['pool', 'resize', 'burst', '--nodes', '1'], { data: mesh.alive().data });
  expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('automatic scaling') });
  await ok('pool', 'autoscale', 'burst', '--off');
  await until('the pool is steady', SCALE_MS_MAX, async () => (await pool()).allocationState === 'steady');
  await ok('pool', 'resize', 'burst', '--nodes', '1');
  await untilNodes(1);
});
