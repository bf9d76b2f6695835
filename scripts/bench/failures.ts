/** How long a death holds work up. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type LocalAgent, type LocalMesh, until } from '../local-mesh/local-mesh.ts';
import { addJob, tasks } from './jobs.ts';
import { median, type Rows, row } from './report.ts';

/** kill -9 of the coordinator's agent; the next task, submitted at once elsewhere, starts on a machine that lives. */
export async function coordinatorDies(mesh: LocalMesh, rounds: number): Promise<Rows> {
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await mesh.settle();
    const coordinator = await mesh.leader('pool:default');
    const other = otherThan(mesh, coordinator);
    const job = await addJob(other.client);
    const diedAtMs = Date.now();
    await mesh.kill(coordinator);
    // Some of these are placed on the dead machine's node, which nobody calls lost yet: the first start counts.
    await other.client.tasks.addAll(job, tasks(6, '/bin/true'));
    let startedAtMs: number | undefined;
    await until(
      'a task starts',
      20_000,
      async () => {
        for await (const task of other.client.tasks.list(job)) {
          const start = task.executionInfo?.startTime;
          if (start !== undefined)
            startedAtMs = Math.min(startedAtMs ?? Number.POSITIVE_INFINITY, Date.parse(start));
        }
        return startedAtMs !== undefined;
      },
      10,
    );
    tookMs.push((startedAtMs ?? Number.NaN) - diedAtMs);
    await mesh.startAgent(coordinator);
  }
  await mesh.settle();
  return {
    'coordinator killed, next start': row(
      median(tookMs),
      'ms',
      2_000,
      `median of ${rounds} (worst ${Math.max(...tookMs).toFixed(0)}); floor: the bound of 2 s`,
    ),
  };
}

/** A worker's agent, runner and tasks die together: its tasks run elsewhere. */
export async function workerDies(mesh: LocalMesh, rounds: number): Promise<Rows> {
  const tookMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await mesh.settle();
    const coordinator = await mesh.leader('pool:default');
    const worker = otherThan(mesh, coordinator);
    const machine = (await mesh.status(worker))?.machine.id;
    const job = await addJob(coordinator.client);
    await coordinator.client.tasks.addAll(job, tasks(3, '/bin/sleep 60'));
    let onWorker: string[] = [];
    await until('every task runs', 10_000, async () => {
      onWorker = [];
      let running = 0;
      for await (const task of coordinator.client.tasks.list(job)) {
        if (task.state === 'running') running += 1;
        if (task.shoal?.machine === machine) onWorker.push(task.id);
      }
      return running === 3;
    });
    const diedAtMs = Date.now();
    await mesh.killMachine(worker);
    await until('its tasks run elsewhere', 30_000, async () => {
      for (const id of onWorker) {
        const task = await coordinator.client.tasks.get(job, id);
        if (task.state !== 'running' || task.shoal?.machine === machine) return false;
      }
      return true;
    });
    tookMs.push(Date.now() - diedAtMs);
    await coordinator.client.jobs.terminate(job, undefined);
    await mesh.startAgent(worker);
    await sleep(500);
  }
  await mesh.settle();
  return {
    'worker killed, runs elsewhere': row(
      median(tookMs),
      'ms',
      6_000,
      `median of ${rounds} (worst ${Math.max(...tookMs).toFixed(0)}); floor: the bound of 6 s`,
    ),
  };
}

function otherThan(mesh: LocalMesh, agent: LocalAgent): LocalAgent {
  const other = mesh.agents.find((one) => one !== agent && one.process !== undefined);
  if (other === undefined) throw new Error('there is no other agent');
  return other;
}
