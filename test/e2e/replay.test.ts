/** What three agents have on disk after a job and a killed agent tells the same story, and every promise held in it. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalAgent, LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { ReplayStep, ReplayVerdict } from '../../src/cli/agent-commands.ts';
import { VERSION } from '../../src/lib/version.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import { RECORDS_ANEW, saveLog, takeLog } from '../unit/replay/recorded-logs.ts';
import { shoal } from './shell.ts';

const STEP_MS_MAX = 45_000;
const JOB = 'flight';
const TASKS = 12;
/** Of a LevelDB table. */
const BLOCK_BYTES = 4096;
let mesh: LocalMesh;
let killed: LocalAgent;

beforeAll(async () => {
  mesh = await LocalMesh.start(3);
  const { client } = mesh.alive();
  await client.jobs.add({ id: JOB, poolInfo: { poolId: 'default' } });
  const ids = Array.from({ length: TASKS }, (_unused, position) => `t${position}`);
  await client.tasks.addAll(
    JOB,
    ids.map((id, position) => ({ id, commandLine: position < 6 ? 'sleep 1.5' : 'true' })),
  );
  killed = await hostOfRunningTask();
  await mesh.killMachine(killed);
  const left = mesh.alive();
  await until('all tasks have ended without the killed machine', STEP_MS_MAX, async () => {
    const { completed } = await left.client.jobs.taskCounts(JOB);
    return completed === TASKS;
  });
  await mesh.startAgent(killed);
  await mesh.settle();
}, 120_000);
afterAll(async () => {
  if (RECORDS_ANEW) await keepLogs();
  await mesh?.stop();
});

async function hostOfRunningTask(): Promise<LocalAgent> {
  let machine: string | undefined;
  await until('a task runs', STEP_MS_MAX, async () => {
    for await (const task of mesh.alive().client.tasks.list(JOB))
      if (task.state === 'running') machine = task.shoal?.machine;
    return machine !== undefined;
  });
  for (const agent of mesh.agents) if ((await mesh.status(agent))?.machine.id === machine) return agent;
  throw new Error(`no agent is the machine ${machine}`);
}

async function replay(
  data: string,
  ...flags: string[]
): Promise<{
  code: number | null;
  steps: readonly ReplayStep[];
  verdicts: readonly ReplayVerdict[];
  stderr: string;
}> {
  const { code, stdout, stderr } = await shoal(['replay', data, ...flags, '--output', 'jsonl']);
  const items = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReplayStep | ReplayVerdict);
  return {
    code,
    stderr,
    steps: items.filter((item) => item.kind !== 'verdict'),
    verdicts: items.filter((item) => item.kind === 'verdict'),
  };
}

describe('a replay', () => {
  it('is refused while the agent runs, with what to do', async () => {
    const { code, stderr } = await replay(mesh.alive().data);
    expect(code).toBe(4);
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'AgentRunning' });
    expect(stderr).toContain('copy the directory');
  });

  it('of each of the three directories says that all holds, and tells of the killed machine', async () => {
    for (const agent of mesh.agents) await mesh.kill(agent);
    const stories = new Set<string>();
    for (const { data } of mesh.agents) {
      const { code, steps, verdicts, stderr } = await replay(data);
      expect(stderr).toBe('');
      expect(verdicts.map(({ group, verdict, problems }) => ({ group, verdict, problems }))).toEqual([
        { group: 'mesh', verdict: 'holds', problems: [] },
        { group: 'pool:default', verdict: 'holds', problems: [] },
      ]);
      expect(code).toBe(0);
      const ends = steps.filter(({ what }) => what.startsWith('task.completed'));
      stories.add(JSON.stringify(ends.map(({ index, what }) => [index, what])));
      expect(steps.some(({ what }) => what.startsWith('node.lost: '))).toBe(true);
      expect(steps.some(({ what }) => what.startsWith('task.requeued'))).toBe(true);
    }
    expect(stories.size).toBe(1);
    const [story = '[]'] = stories;
    expect(JSON.parse(story)).toHaveLength(TASKS);
  });

  it('shows one task by itself, in a table for people', async () => {
    const { data } = killed;
    const { code, stdout } = await shoal([
      'replay',
      data,
      '--group',
      'pool:default',
      '--job',
      JOB,
      '--task',
      't0',
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/assign flight\/t0 to tvm-\S+ +epoch \d+/);
    expect(stdout).toMatch(/report flight\/t0 .* recorded/);
    expect(stdout).not.toContain('flight/t1 ');
    expect(stdout).toMatch(/verdict +holds/);
    expect((await shoal(['replay', data, '--group', 'pool:none'])).code).toBe(3);
    expect((await shoal(['replay', mesh.directory])).stderr).toContain(
      'is not the data directory of an agent',
    );
  });

  it('of a directory with flipped bytes is refused', async () => {
    const copy = join(mesh.directory, 'damaged');
    await cp(killed.data, copy, { recursive: true, filter: (source) => !source.endsWith('.sock') });
    await flipBytes(join(copy, 'private', 'store', 'level'));
    const { code, stderr, stdout } = await shoal(['replay', copy, '--check']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/error: .*(checksum|lost|damaged|cannot be read)/);
    expect(stdout).not.toContain('violated');
  });
});

/** One in each block of the largest file: a single one may hit what was overwritten since, which nobody reads. */
async function flipBytes(directory: string): Promise<void> {
  const files = (await readdir(directory)).filter((name) => /\.(log|ldb)$/.test(name));
  const contents = await Promise.all(files.map((name) => readFile(join(directory, name))));
  const sizes = contents.map(({ length }) => length);
  const largest = sizes.indexOf(Math.max(...sizes));
  const content = contents[largest];
  if (content === undefined) throw new Error('the store has no file to damage');
  for (let at = BLOCK_BYTES / 2; at < content.length; at += BLOCK_BYTES)
    content.writeUInt8(content.readUInt8(at) ^ 1, at);
  await writeFile(join(directory, files[largest] ?? ''), content);
}

/** `UPDATE_FIXTURES=1` keeps the logs of this run for the versions to come. */
async function keepLogs(): Promise<void> {
  for (const [group, name] of [
    ['mesh', 'run-mesh'],
    ['pool:default', 'run-pool'],
  ] as const) {
    for (const { data } of mesh.agents) {
      const store = await openLevelStore(join(data, 'private', 'store'));
      const taken = await takeLog(store, group, name);
      await store.close();
      if (taken !== undefined) await saveLog(VERSION, taken.log, taken.entries);
    }
  }
}
