/**
 * Three agents on this machine render a picture in tiles. Half way the coordinator's agent is killed, and a task's
 * process on another machine; the picture comes out all the same, byte for byte equal to one rendered without a mesh.
 */
import '../../src/lib/polyfill.ts';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify, styleText } from 'node:util';
import type { ShoalClient } from '../../src/client/client.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import { flagsOf } from '../flags.ts';
import { type LocalAgent, LocalMesh, until } from '../local-mesh/local-mesh.ts';
import { RENDERER } from './renderer-path.ts';
import { makeScene } from './scene.ts';

flagsOf(
  `usage: npm run demo

Three agents on this machine render a picture in tiles; the coordinator is killed half way, and the picture comes out
byte for byte as it should.`,
  {},
);

const JOB = 'render';
const FINISH_MS_MAX = 80_000;
const run = promisify(execFile);

const scene = makeScene();
const tiles = scene.columns * scene.rows;
const startedAtMs = performance.now();
const say = (text: string): void =>
  void process.stdout.write(
    `${styleText('dim', `${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(5)} s`)}  ${text}\n`,
  );

const scratch = await mkdtemp(join(tmpdir(), 'shoal-demo-'));
await chmod(scratch, 0o711);
let mesh: LocalMesh | undefined;
let ending: Promise<void> | undefined;

/** Once, whoever asks: the end of the story, an error, or Ctrl-C. */
function cleanUp(): Promise<void> {
  ending ??= (async () => {
    await mesh?.stop();
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  })();
  return ending;
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    process.stdout.write('\nstopping the agents…\n');
    void cleanUp().then(() => process.exit(130));
  });
}

try {
  await tellStory();
  await cleanUp();
} catch (error) {
  if (ending === undefined) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    for (const agent of mesh?.agents ?? [])
      process.stderr.write(
        `--- ${agent.name}\n${(await mesh?.logOf(agent))?.split('\n').slice(-15).join('\n')}\n`,
      );
    await cleanUp();
    process.exitCode = 1;
  }
}

async function tellStory(): Promise<void> {
  say('starting three agents, each with a directory of its own');
  mesh = await LocalMesh.start(3, { directory: join(scratch, 'mesh') });
  const coordinator = await mesh.leader('pool:default');
  const [submitter, worker] = mesh.agents.filter((agent) => agent !== coordinator);
  if (submitter === undefined || worker === undefined) throw new Error('there are not three agents');
  say(`the mesh stands: ${coordinator.name} coordinates the pool, the job goes in through ${submitter.name}`);

  await submit(submitter.client);
  say(
    `submitted: ${tiles} tiles and a task that merges them, ${scene.width}x${scene.height} at ${scene.samples} light paths a pixel`,
  );

  await progress(submitter.client, Math.floor(tiles / 2));
  await mesh.kill(coordinator);
  say(styleText('yellow', `killed the coordinator's agent, ${coordinator.name} (kill -9)`));
  const victim = await killOneTask(mesh, worker);
  say(
    styleText(
      'yellow',
      victim === undefined
        ? `${worker.name} runs no task at this moment`
        : `killed a task's process on ${worker.name} (kill -9 ${victim})`,
    ),
  );

  await progress(submitter.client, tiles + 1);
  const picture = await fetchPicture(submitter.client);
  say(`the picture has come: ${picture.length} bytes`);
  await checkEveryTask(submitter.client);

  say('rendering the same scene without a mesh, to compare');
  const expected = await renderAlone();
  const [got, wanted] = [sha256(picture), sha256(expected)];
  if (got !== wanted) throw new Error(`the pictures differ: ${got} from the mesh, ${wanted} without it`);
  const path = join(process.cwd(), 'shoal-demo.png');
  await writeFile(path, picture);
  say(styleText('green', `equal: sha256 ${got}`));
  process.stdout.write(`\n${path}\n`);
}

async function submit(client: ShoalClient): Promise<void> {
  for (const [name, bytes] of [
    ['renderer.mjs', await readFile(RENDERER)],
    ['scene.json', Buffer.from(JSON.stringify(scene))],
  ] as const) {
    await client.blobs.put(
      'scene',
      name,
      { open: () => chunksOf(bytes), length: bytes.length },
      { create: true },
    );
  }
  const inputs = [
    { httpUrl: 'mesh://scene/renderer.mjs', filePath: 'renderer.mjs' },
    { httpUrl: 'mesh://scene/scene.json', filePath: 'scene.json' },
  ];
  await client.jobs.add({
    id: JOB,
    poolInfo: { poolId: 'default' },
    usesTaskDependencies: true,
    constraints: { maxTaskRetryCount: 3 },
  });
  const specs: TaskSpec[] = Array.from({ length: tiles }, (_, tile) => ({
    id: String(tile),
    commandLine: `${process.execPath} renderer.mjs tile scene.json ${tile} tile-${tile}.rgb`,
    resourceFiles: inputs,
    outputFiles: [
      {
        filePattern: `tile-${tile}.rgb`,
        destination: { container: { containerUrl: 'mesh://tiles', path: `tile-${tile}.rgb` } },
        uploadOptions: { uploadCondition: 'tasksuccess' },
      },
    ],
  }));
  specs.push({
    id: 'merge',
    commandLine: `${process.execPath} renderer.mjs merge scene.json picture.png`,
    resourceFiles: [...inputs, { autoStorageContainerName: 'tiles' }],
    dependsOn: { taskIdRanges: [{ start: 0, end: tiles - 1 }] },
    outputFiles: [
      {
        filePattern: 'picture.png',
        destination: { container: { containerUrl: 'mesh://pictures', path: 'picture.png' } },
        uploadOptions: { uploadCondition: 'tasksuccess' },
      },
    ],
  });
  await client.tasks.addAll(JOB, specs);
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Shows how far the job is until so many tasks have ended. */
async function progress(client: ShoalClient, enough: number): Promise<void> {
  let shown = -1;
  await until(`${enough} of ${tiles + 1} tasks have ended`, FINISH_MS_MAX, async () => {
    const { completed, failed, running } = await client.jobs.taskCounts(JOB);
    if (failed > 0) throw new Error(`${failed} tasks failed`);
    if (completed !== shown) draw(completed, running);
    shown = completed;
    return completed >= enough;
  });
  if (process.stdout.isTTY) process.stdout.write('\n');
}

function draw(completed: number, running: number): void {
  const filled = Math.round((30 * completed) / (tiles + 1));
  const text = `         [${'#'.repeat(filled)}${'.'.repeat(30 - filled)}] ${completed} of ${tiles + 1} done, ${running} running`;
  if (process.stdout.isTTY) process.stdout.write(`\r${text}\u001b[K`);
  else if (completed % 8 === 0) process.stdout.write(`${text}\n`);
}

/** The process of one task of this agent: a child of its runner with a mark of ours in its environment. */
async function killOneTask(of: LocalMesh, agent: LocalAgent): Promise<number | undefined> {
  let found: number | undefined;
  await until(`${agent.name} runs a task`, 5_000, async () => {
    for (const name of await readdir('/proc')) {
      const environment = /^\d+$/.test(name)
        ? await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '')
        : '';
      if (environment.includes(`AZ_BATCH_NODE_ROOT_DIR=${join(of.directory, agent.name)}`))
        found = Number(name);
    }
    return found !== undefined;
  }).catch(() => undefined);
  if (found !== undefined) process.kill(found, 'SIGKILL');
  return found;
}

async function fetchPicture(client: ShoalClient): Promise<Buffer> {
  const { body } = await client.blobs.open('pictures', 'picture.png');
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

async function checkEveryTask(client: ShoalClient): Promise<void> {
  let again = 0;
  for await (const task of client.tasks.list(JOB)) {
    if (task.executionInfo?.result !== 'success')
      throw new Error(`the task ${task.id} ended with ${JSON.stringify(task.executionInfo)}`);
    if ((task.executionInfo.retryCount ?? 0) > 0) again += 1;
  }
  say(
    `all ${tiles + 1} tasks succeeded, each outcome recorded once; ${again} ran again because its process died`,
  );
}

/** The same program, tile by tile, on both cores. */
async function renderAlone(): Promise<Buffer> {
  const directory = join(scratch, 'alone');
  await mkdir(directory);
  await cp(RENDERER, join(directory, 'renderer.mjs'));
  await writeFile(join(directory, 'scene.json'), JSON.stringify(scene));
  const rest = Array.from({ length: tiles }, (_, tile) => tile)[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const tile of { [Symbol.iterator]: () => rest })
      await run(process.execPath, ['renderer.mjs', 'tile', 'scene.json', String(tile), `tile-${tile}.rgb`], {
        cwd: directory,
      });
  };
  await Promise.all([worker(), worker()]);
  await run(process.execPath, ['renderer.mjs', 'merge', 'scene.json', 'picture.png'], { cwd: directory });
  return readFile(join(directory, 'picture.png'));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
