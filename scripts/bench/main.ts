/** `npm run bench`: every figure beside its floor, measured in the same run on three agents with their default durability. */
import '../../src/lib/polyfill.ts';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flagsOf, misused } from '../flags.ts';
import { LocalMesh } from '../local-mesh/local-mesh.ts';
import { azureClient } from './azure-client.ts';
import { coordinatorDies, workerDies } from './failures.ts';
import { hostile } from './hostile.ts';
import { idle } from './idle.ts';
import { largeJob } from './large-job.ts';
import { manyAgents } from './many-agents.ts';
import { millionTasks } from './million-tasks.ts';
import { oneTask } from './one-task.ts';
import { type Rows, row, tableOf } from './report.ts';
import { shortTasks } from './short-tasks.ts';
import { transfer } from './transfer.ts';

const ROWS = [
  'idle',
  'one-task',
  'short-tasks',
  'transfer',
  'coordinator-dies',
  'worker-dies',
  'large-job',
  'million-tasks',
  'azure-client',
  'hostile',
  'many-agents',
] as const;

const USAGE = `usage: npm run bench -- [option …]

Measures three agents on this machine, and beside each figure its floor: a bare tool, or the bound that it must keep.

  --only a,b      these parts: ${ROWS.slice(0, 6).join(', ')},
                  ${ROWS.slice(6).join(', ')}
  --quick         smaller amounts, without the thirty agents of many-agents
  --attack a,b    of hostile, these attacks only
  --output table|json

  npm run bench -- --only idle,one-task
  SHOAL_PROGRAM=../before/dist/shoal.js npm run bench -- --only short-tasks`;

const { values: flags } = flagsOf(USAGE, {
  options: {
    output: { type: 'string', default: 'table' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    attack: { type: 'string' },
  },
});
const { quick } = flags;

/** A memory file system where there is one: creating and removing thousands of files on a disk measures the disk. */
const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const directory = await mkdtemp(join(base, 'shoal-bench-'));
await chmod(directory, 0o711);

const parts: Record<Exclude<(typeof ROWS)[number], 'many-agents'>, (mesh: LocalMesh) => Promise<Rows>> = {
  idle: (mesh) => idle(mesh, quick ? 5_000 : 30_000),
  'one-task': (mesh) => oneTask(mesh, quick ? 10 : 50),
  'short-tasks': (mesh) => shortTasks(mesh, quick ? 2_000 : 10_000),
  transfer: (mesh) => transfer(mesh, quick ? 128 : 1_024),
  'coordinator-dies': (mesh) => coordinatorDies(mesh, quick ? 2 : 10),
  'worker-dies': (mesh) => workerDies(mesh, quick ? 1 : 3),
  'large-job': (mesh) => largeJob(mesh, quick ? 20_000 : 100_000),
  'million-tasks': (mesh) => millionTasks(mesh, quick ? 100_000 : 1_000_000),
  'azure-client': (mesh) =>
    azureClient(mesh, quick ? { added: 2_000, listed: 10_000 } : { added: 20_000, listed: 100_000 }),
  hostile: (mesh) =>
    hostile(mesh, {
      ...(quick
        ? { listed: 20_000, roundMs: 1_000, rounds: 3 }
        : { listed: 100_000, roundMs: 3_000, rounds: 5 }),
      ...(flags.attack !== undefined && { attacks: flags.attack.split(',') }),
    }),
};
const wanted = flags.only?.split(',');
const unknown = wanted?.find((name) => !ROWS.some((known) => known === name));
if (unknown !== undefined) misused(USAGE, `There is no part '${unknown}'.`);

const rows: Rows = {};
let mesh: LocalMesh | undefined;
process.once('SIGINT', () => void end().then(() => process.exit(130)));

try {
  const startedAtMs = performance.now();
  mesh = await LocalMesh.start(3, { directory: join(directory, 'three'), apiPort: true });
  rows['three agents, up'] = row(
    (performance.now() - startedAtMs) / 1000,
    's',
    5,
    'made, joined, linked, voters settled; floor: the bound',
  );
  for (const [name, measure] of Object.entries(parts)) {
    if (wanted !== undefined && !wanted.includes(name)) continue;
    process.stderr.write(`${name}…\n`);
    Object.assign(rows, await measure(mesh));
  }
  await mesh.stop();
  mesh = undefined;
  if (!quick && (wanted === undefined || wanted.includes('many-agents'))) {
    process.stderr.write('many-agents…\n');
    Object.assign(rows, await manyAgents(30, join(directory, 'many')));
  }
} finally {
  await end();
}
process.stdout.write(flags.output === 'json' ? `${JSON.stringify(rows, null, 2)}\n` : `${tableOf(rows)}\n`);

async function end(): Promise<void> {
  await mesh?.stop();
  mesh = undefined;
  await rm(directory, { recursive: true, force: true, maxRetries: 3 });
}
