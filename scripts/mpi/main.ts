/**
 * `npm run mpi`: Open MPI over three machines of a mesh, without ssh. Each machine is an agent: in a network namespace of
 * its own where that can be had (root and iproute2), else at a loopback address of its own. Needs Debian's `openmpi-bin` and
 * `python3-mpi4py`, and installs nothing.
 */
import '../../src/lib/polyfill.ts';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagsOf } from '../flags.ts';
import { LocalMesh, until } from '../local-mesh/local-mesh.ts';
import { Lan } from '../netns/lan.ts';

flagsOf(
  `usage: npm run mpi

Runs Open MPI over three machines of a mesh, without ssh. Says what it lacks.`,
  {},
);

const MACHINES = 3;
const RANKS_PER_NODE = 2;
const STEP_MS_MAX = 120_000;
const PROGRAM = join(dirname(fileURLToPath(import.meta.url)), '..', 'scripts', 'mpi', 'ring.py');

/** The ranks begin in the shared directory of their own nodes, whose paths differ. */
const APPLICATION = [
  'mpirun --mca plm_rsh_agent "$SHOAL_LAUNCHER" --mca btl self,tcp --oversubscribe',
  `--host "$(echo "$AZ_BATCH_HOST_LIST" | sed "s/,/:${RANKS_PER_NODE},/g"):${RANKS_PER_NODE}"`,
  '/bin/sh -c "cd \\$AZ_BATCH_TASK_SHARED_DIR && exec /usr/bin/python3 ring.py"',
].join(' ');

function missing(): readonly string[] {
  const has = (command: string, ...words: string[]): boolean =>
    spawnSync(command, words, { stdio: 'ignore' }).status === 0;
  return [
    ...(has('mpirun', '--version') ? [] : ['mpirun (Debian: apt-get install openmpi-bin)']),
    ...(has('/usr/bin/python3', '-c', 'import mpi4py')
      ? []
      : ['mpi4py (Debian: apt-get install python3-mpi4py)']),
  ];
}

const startedAtMs = performance.now();
function say(text: string): void {
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(6);
  process.stdout.write(`${seconds} s  ${text}\n`);
}

function createLan(): Lan | undefined {
  try {
    return Lan.create(MACHINES);
  } catch (error) {
    say(
      `loopback addresses instead of network namespaces: ${error instanceof Error ? error.message : error}`,
    );
    return undefined;
  }
}

async function store(mesh: LocalMesh, name: string, bytes: Uint8Array): Promise<void> {
  const open = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  await mesh.alive().client.blobs.put('mpi', name, { open }, { create: true });
}

async function submit(mesh: LocalMesh): Promise<string> {
  const { client } = mesh.alive();
  await client.pools.add({
    id: 'mpi',
    vmSize: 'machine',
    targetDedicatedNodes: MACHINES,
    taskSlotsPerNode: 1,
    enableInterNodeCommunication: true,
  });
  await store(mesh, 'ring.py', await readFile(PROGRAM));
  await store(mesh, 'common.txt', Buffer.from('common'));
  await client.jobs.add({ id: 'mpi', poolInfo: { poolId: 'mpi' } });
  await client.tasks.add('mpi', {
    id: 'ring',
    commandLine: `/bin/sh -c '${APPLICATION}'`,
    constraints: { maxWallClockTime: 'PT2M' },
    multiInstanceSettings: {
      numberOfInstances: MACHINES,
      coordinationCommandLine: `/bin/sh -c '"$SHOAL_LAUNCHER" serve'`,
      commonResourceFiles: [{ storageContainerUrl: 'mesh://mpi' }],
    },
  });
  await until('the task has ended', STEP_MS_MAX, async () => {
    return (await client.tasks.get('mpi', 'ring')).state === 'completed';
  });
  const { executionInfo } = await client.tasks.get('mpi', 'ring');
  const output = await textOf(mesh, 'stdout.txt');
  if (executionInfo?.exitCode === 0) return output;
  throw new Error(
    `the task failed: ${JSON.stringify(executionInfo)}\n${output}\n${await textOf(mesh, 'stderr.txt')}`,
  );
}

async function textOf(mesh: LocalMesh, file: string): Promise<string> {
  const { body } = await mesh.alive().client.tasks.openFile('mpi', 'ring', file);
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** What is wrong with the result; nothing where all ranks talked to each other, on as many nodes as there are. */
function faultsIn(output: string): readonly string[] {
  const { size, ring, total, texts } = JSON.parse(output) as {
    readonly size: number;
    readonly ring: readonly (readonly [number, string])[];
    readonly total: number;
    readonly texts: readonly string[];
  };
  const ranks = MACHINES * RANKS_PER_NODE;
  const nodes = new Set(ring.map(([, node]) => node));
  for (const node of nodes)
    say(`${node}: ranks ${ring.flatMap(([rank, where]) => (where === node ? [rank] : [])).join(', ')}`);
  const squares = (ranks * (ranks + 1) * (2 * ranks + 1)) / 6;
  return [
    ...(size === ranks ? [] : [`${size} ranks instead of ${ranks}`]),
    ...(ring.map(([rank]) => rank).join() === [...Array(ranks).keys()].join() ? [] : ['the ring is broken']),
    ...(nodes.size === MACHINES ? [] : [`the ranks ran on ${nodes.size} of ${MACHINES} nodes`]),
    ...(total === squares ? [] : [`the sum is ${total} instead of ${squares}`]),
    ...(texts.every((text) => text === 'common') ? [] : ['a common resource file is missing']),
  ];
}

async function run(): Promise<readonly string[]> {
  const lan = createLan();
  const directory = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'shoal-mpi-'));
  // Tasks run as users of their own.
  await chmod(directory, 0o755);
  let mesh: LocalMesh | undefined;
  try {
    mesh = await LocalMesh.start(MACHINES, {
      directory,
      ...(lan === undefined
        ? { address: (agent) => `127.0.0.${11 + agent}` }
        : {
            listen: (agent) => `/ip4/${lan.address(agent)}/tcp/4001`,
            prefix: (agent) => lan.prefix(agent),
          }),
    });
    say(`${MACHINES} agents are up, ${lan === undefined ? 'on loopback' : 'each in a network namespace'}`);
    const output = await submit(mesh);
    return faultsIn(output);
  } finally {
    await mesh?.stop();
    lan?.remove();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

const lacking = missing();
if (lacking.length > 0) {
  process.stderr.write(`missing: ${lacking.join('; ')}\n`);
  process.exitCode = 2;
} else {
  const faults = await run().catch((error: unknown) => [
    error instanceof Error ? error.message : String(error),
  ]);
  for (const fault of faults) say(`WRONG: ${fault}`);
  say(faults.length === 0 ? 'passed' : 'FAILED');
  process.exitCode = faults.length === 0 ? 0 : 1;
}
