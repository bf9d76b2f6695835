/**
 * A job on three agents while their processes, their network and their disks are hurt at random; then the books are
 * compared with the facts.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asShoalError } from '../../src/lib/errors.ts';
import { Prng } from '../../src/lib/prng.ts';
import type { TaskSpec } from '../../src/model/task.ts';
import { processesBelow } from '../local-mesh/census.ts';
import { LocalMesh, until } from '../local-mesh/local-mesh.ts';
import { ExecutionWitness } from './executions.ts';
import { Ground } from './ground.ts';
import { Injuries, type Injury } from './injuries.ts';
import { judge, type Verdict } from './verdict.ts';

export interface ChaosOptions {
  readonly kills: number;
  readonly tasks: number;
  readonly seed: number;
  /** Hurts for so long instead of `kills` times. */
  readonly seconds?: number;
  /** Each agent on a host and a disk of its own, which can be hurt too. Needs root and iproute2. */
  readonly hosts: boolean;
  /** Absolute; agents and executions leave their files here. */
  readonly directory: string;
  readonly say: (text: string) => void;
}

export interface ChaosReport extends Verdict {
  readonly injuries: ReadonlyMap<Injury, number>;
}

const JOB = 'chaos';
const AGENTS = 3;
const ACCEPT_MS_MAX = 90_000;
/** For the tasks that are left once nobody is hurt any more. */
const FINISH_MS_MAX = 120_000;
const STOPPED_MS_MAX = 10_000;
const PAUSE_MS_MIN = 100;
const PAUSE_MS_MAX = 2_000;
/** Most tasks are short, as a scheduler's worst case; one in sixteen outlives a restart or a lease. */
const SHORT_SECONDS_MAX = 0.1;
const LONG_SECONDS_MAX = 4;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, directory, say } = options;
  const random = new Prng(seed);
  const ids = Array.from({ length: options.tasks }, (_, index) => `t${String(index).padStart(5, '0')}`);
  const witness = await ExecutionWitness.create(join(directory, 'executions'), ids);
  const specs = ids.map((id) =>
    witness.task(
      id,
      random.chance(1 / 16) ? 1 + random.next() * (LONG_SECONDS_MAX - 1) : random.next() * SHORT_SECONDS_MAX,
    ),
  );
  const place = join(directory, 'mesh');
  const ground = options.hosts ? await Ground.apart(place, AGENTS) : Ground.shared(place);
  let mesh: LocalMesh | undefined;
  try {
    mesh = await LocalMesh.start(AGENTS, ground.options);
    const injuries = new Injuries(mesh, ground, random.fork(), say);
    await storm(options, mesh, injuries, specs, random.fork());
    say('nobody is hurt any more; waiting for the tasks that are left');
    await finish(mesh, ids.length);
    const verdict = await judge(mesh.alive().client, JOB, ids, witness);
    await mesh.stop();
    return {
      ...verdict,
      violations: [...verdict.violations, ...injuries.failures, ...(await orphans(place))],
      injuries: injuries.counts,
    };
  } finally {
    await mesh?.stop();
    ground.remove();
  }
}

/** Hands tasks in little by little, so that there is work at every injury. */
async function storm(
  { kills, seconds }: ChaosOptions,
  mesh: LocalMesh,
  injuries: Injuries,
  specs: readonly TaskSpec[],
  random: Prng,
): Promise<void> {
  await mesh.alive().client.jobs.add({
    id: JOB,
    poolInfo: { poolId: 'default' },
    // A killed process counts as a failure of the task: it must not end the task.
    constraints: { maxTaskRetryCount: -1 },
  });
  const startedAtMs = performance.now();
  const done = (round: number): number =>
    seconds === undefined ? round / kills : (performance.now() - startedAtMs) / 1000 / seconds;
  let handedIn = 0;
  let fellTogether = false;
  for (let round = 0; done(round) < 1; round += 1) {
    const enough = Math.min(specs.length, Math.ceil(specs.length * Math.max(done(round + 1), 1 / 20)));
    await accept(injuries, specs.slice(handedIn, enough), random);
    handedIn = Math.max(handedIn, enough);
    await sleep(random.int(PAUSE_MS_MIN, PAUSE_MS_MAX));
    if (done(round) >= 0.5 && !fellTogether) {
      fellTogether = true;
      await injuries.killEverybody();
    } else await injuries.injure();
  }
  await accept(injuries, specs.slice(handedIn), random);
  await injuries.healed();
  injuries.noteDeaths();
}

/** Hands the tasks in through anybody, until all of them are accepted. */
async function accept(injuries: Injuries, specs: readonly TaskSpec[], random: Prng): Promise<void> {
  const left = [...specs];
  const deadline = performance.now() + ACCEPT_MS_MAX;
  let whole = true;
  while (left.length > 0) {
    const agents = injuries.well();
    try {
      if (agents.length === 0) throw new Error('every agent is down');
      const { client } = random.pick(agents);
      // One by one after a failure: nobody knows which of them were accepted before it.
      const batch = whole ? [...left] : left.slice(0, 1);
      await client.tasks.addAll(JOB, batch, { signal: AbortSignal.timeout(35_000) });
      left.splice(0, batch.length);
    } catch (error) {
      if (!whole && asShoalError(error).code === 'TaskExists') left.shift();
      else if (performance.now() > deadline) throw error;
      else if (whole) whole = false;
      else await sleep(100);
    }
  }
}

async function finish(mesh: LocalMesh, tasks: number): Promise<void> {
  let last = '';
  await until(
    'every task has ended',
    FINISH_MS_MAX,
    async () => {
      const counts = await mesh.alive().client.jobs.taskCounts(JOB);
      last = JSON.stringify(counts);
      return counts.completed >= tasks;
    },
    200,
  ).catch((error: unknown) => {
    throw new Error(`${error instanceof Error ? error.message : String(error)}: ${last}`);
  });
}

async function orphans(directory: string): Promise<string[]> {
  let left = await processesBelow(directory);
  await until('no process is left', STOPPED_MS_MAX, async () => {
    left = await processesBelow(directory);
    return left.length === 0;
  }).catch(() => undefined);
  return left.map(({ pid, role, words }) => `a ${role} outlived its agent: ${pid} (${words})`);
}
