/**
 * Three agents on three hosts: they find each other again after all their addresses changed, and a job survives that
 * hosts are cut off in its middle, the coordinator's too, and come back.
 */
import { join } from 'node:path';
import { ExecutionWitness } from '../chaos/executions.ts';
import { judge } from '../chaos/verdict.ts';
import { processesBelow } from '../local-mesh/census.ts';
import { type LocalAgent, LocalMesh, until } from '../local-mesh/local-mesh.ts';
import { Lan } from './lan.ts';

export interface PartitionOptions {
  /** Absolute; agents and executions leave their files here. */
  readonly directory: string;
  readonly say: (text: string) => void;
}

const JOB = 'partition';
const TASK_SECONDS = 1.5;
/** Enough to keep six slots busy until the hosts are back. */
const TASKS = 48;
const LATE_TASKS = 16;
const STEP_MS_MAX = 20_000;
const FINISH_MS_MAX = 60_000;

/** Returns what went wrong; throws where a step did not happen in time. */
export async function runPartition({ directory, say }: PartitionOptions): Promise<readonly string[]> {
  const lan = Lan.create(3);
  let mesh: LocalMesh | undefined;
  try {
    mesh = await LocalMesh.start(3, {
      directory: join(directory, 'mesh'),
      mdns: true,
      listen: () => '/ip4/0.0.0.0/tcp/7411',
      prefix: (host) => lan.prefix(host),
    });
    say('three agents stand on three hosts, joined by the addresses in their tokens');
    await moveHouse(lan, mesh, say);
    return await survivePartitions(lan, mesh, directory, say);
  } finally {
    await mesh?.stop();
    lan.remove();
  }
}

/** After this nobody is where anybody remembers: only mDNS can bring them together. */
async function moveHouse(lan: Lan, mesh: LocalMesh, say: (text: string) => void): Promise<void> {
  for (const agent of mesh.agents) await mesh.killMachine(agent);
  lan.renumber('10.77.2');
  const startedAtMs = performance.now();
  await Promise.all(mesh.agents.map((agent) => mesh.startAgent(agent)));
  await mesh.settle();
  say(
    `every host has another address: they found each other by mDNS ${seconds(startedAtMs)} after their start`,
  );
}

async function survivePartitions(
  lan: Lan,
  mesh: LocalMesh,
  directory: string,
  say: (text: string) => void,
): Promise<readonly string[]> {
  const ids = Array.from({ length: TASKS + LATE_TASKS }, (_, task) => `t${task}`);
  const witness = await ExecutionWitness.create(join(directory, 'executions'), ids);
  const specs = ids.map((id) => witness.task(id, TASK_SECONDS));
  const coordinator = await mesh.leader('pool:default');
  const worker = mesh.agents.find((agent) => agent !== coordinator);
  const witnessAgent = mesh.agents.find((agent) => agent !== coordinator && agent !== worker);
  if (worker === undefined || witnessAgent === undefined) throw new Error('there are not three agents');
  const { client } = witnessAgent;
  await client.jobs.add({ id: JOB, poolInfo: { poolId: 'default' } });
  await client.tasks.addAll(JOB, specs.slice(0, TASKS));
  say(`a job of ${TASKS} tasks of ${TASK_SECONDS} s each goes in through ${witnessAgent.name}`);

  for (const [agent, role] of [
    [worker, 'a worker'],
    [coordinator, 'the coordinator'],
  ] as const) {
    await cutOff(lan, mesh, agent, witnessAgent, `${role}, ${agent.name},`, say);
  }
  // Work for those who came back: the first tasks may all have ended by now.
  await client.tasks.addAll(JOB, specs.slice(TASKS));
  for (const agent of [worker, coordinator]) await isUsed(mesh, agent, witnessAgent, say);
  await until('every task has ended', FINISH_MS_MAX, async () => {
    const { completed } = await client.jobs.taskCounts(JOB);
    return completed >= ids.length;
  });
  const verdict = await judge(client, JOB, ids, witness);
  say(`${verdict.tasks} tasks, ${verdict.executions} executions, ${verdict.rerun} ran more than once`);
  return verdict.violations;
}

/** Takes the host off the network until its tasks run elsewhere and its own processes of them are dead. */
async function cutOff(
  lan: Lan,
  mesh: LocalMesh,
  agent: LocalAgent,
  from: LocalAgent,
  who: string,
  say: (text: string) => void,
): Promise<void> {
  const machine = (await mesh.status(agent))?.machine.id;
  let tasks: string[] = [];
  await until(`${agent.name} runs tasks`, STEP_MS_MAX, async () => {
    tasks = await runningOn(from, machine);
    return tasks.length > 0;
  });
  const host = mesh.agents.indexOf(agent);
  const cutAtMs = performance.now();
  lan.cut(host);
  say(`${who} is cut off; it runs ${tasks.join(', ')}`);
  try {
    await until(`its tasks run elsewhere or had ended`, STEP_MS_MAX, async () => {
      for (const id of tasks) {
        const { state, shoal } = await from.client.tasks.get(JOB, id);
        if (state !== 'completed' && (state !== 'running' || shoal?.machine === machine)) return false;
      }
      return true;
    });
    say(`its tasks run elsewhere ${seconds(cutAtMs)} after the cut`);
    const left = (await processesBelow(agent.data)).filter(({ role }) => role === 'task');
    if (left.length > 0) throw new Error(`${agent.name} still runs ${left[0]?.words} without a lease`);
  } finally {
    lan.mend(host);
  }
  const mendedAtMs = performance.now();
  await mesh.settle();
  say(`its plug is in again: linked, and its node usable ${seconds(mendedAtMs)} later`);
}

async function isUsed(
  mesh: LocalMesh,
  agent: LocalAgent,
  from: LocalAgent,
  say: (text: string) => void,
): Promise<void> {
  const machine = (await mesh.status(agent))?.machine.id;
  await until(`${agent.name} gets tasks again`, STEP_MS_MAX, async () => {
    return (await runningOn(from, machine)).length > 0;
  });
  say(`${agent.name} runs tasks again`);
}

async function runningOn({ client }: LocalAgent, machine: string | undefined): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id, state, shoal } of client.tasks.list(JOB))
    if (state === 'running' && shoal?.machine === machine) ids.push(id);
  return ids;
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}
