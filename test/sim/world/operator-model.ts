/** Whoever runs the mesh: pools that are added, resized and deleted, machines that are drained, join late and leave for good. */
import type { Prng } from '../../../src/lib/prng.ts';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import type { StartTask } from '../../../src/model/node-task.ts';
import type { PoolSpec } from '../../../src/model/pool.ts';
import type { DiskBudget } from './disk-budget.ts';
import { join } from './gathering.ts';
import type { Habit } from './habits.ts';
import { addJob } from './job-clients.ts';
import { GANG_POOL, SECOND_POOL } from './pool-names.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import type { SimMachine } from './sim-machine.ts';
import { commandLineOf, SOUND } from './task-script.ts';

const GANG_NODES = 3;
const DELETED_POOL = 'brief';
const BRIEF_MS_MAX = 800;

const RETRY_MS = 300;
const OPTIONS = ['requeue', 'terminate', 'taskcompletion'] as const;

export interface OperatorOptions {
  readonly requests: Requests;
  readonly random: Prng;
  readonly habits: ReadonlySet<Habit>;
  readonly machines: readonly SimMachine[];
  readonly disks: DiskBudget;
  readonly referee: Referee;
}

export class OperatorModel {
  readonly #requests: Requests;
  readonly #random: Prng;
  readonly #habits: ReadonlySet<Habit>;
  readonly #machines: readonly SimMachine[];
  readonly #disks: DiskBudget;
  readonly #referee: Referee;
  readonly #removed = new Set<SimMachine>();

  constructor({ requests, random, habits, machines, disks, referee }: OperatorOptions) {
    this.#requests = requests;
    this.#random = random;
    this.#habits = habits;
    this.#machines = machines;
    this.#disks = disks;
    this.#referee = referee;
  }

  /** Out of the mesh for good, by somebody's wish. */
  get removed(): ReadonlySet<SimMachine> {
    return this.#removed;
  }

  /** Those that the world's habits ask for. */
  async addPools(): Promise<void> {
    if (this.#habits.has('secondPool')) await this.#addSecondPool();
    if (!this.#habits.has('gangs')) return;
    const takesGangs = { taskSlotsPerNode: 1, enableInterNodeCommunication: true };
    if (!(await this.#addPool(GANG_POOL, { targetDedicatedNodes: GANG_NODES, ...takesGangs })))
      throw new Error('a pool was refused');
  }

  async #addSecondPool(): Promise<void> {
    const targetDedicatedNodes = this.#random.int(0, 2);
    const startTask = this.#habits.has('nodeTasks') ? startTaskOf(this.#random) : undefined;
    // Before there is any node.
    if (startTask !== undefined) this.#referee.startingPools.add(SECOND_POOL);
    const added = await this.#addPool(SECOND_POOL, {
      targetDedicatedNodes,
      ...(startTask === undefined ? {} : { startTask }),
    });
    if (!added) throw new Error('the second pool was refused');
  }

  #addPool(id: string, settings: Partial<PoolSpec>): Promise<boolean> {
    return addPool(this.#requests, id, settings);
  }

  /** Some changes at random moments until then. */
  begin(untilMs: number, late: SimMachine | undefined): void {
    const random = this.#random;
    const some = (habit: Habit, times: number, work: () => Promise<unknown>): void => {
      if (!this.#habits.has(habit)) return;
      for (let time = 0; time < times; time++) {
        const { nowMs } = this.#requests;
        this.#requests.at(nowMs + random.next() * (untilMs - nowMs), work);
      }
    };
    some('secondPool', random.int(1, 3), () => this.#resize(random.int(0, 3)));
    some('drain', random.int(1, 2), () => this.#setDraining(random.pick(this.#machines), random.chance(0.7)));
    some('deletePool', 1, () => this.#briefPool());
    some('removeMachine', 1, () => this.#remove(random.pick(this.#machines)));
    if (late !== undefined) some('joinLate', 1, () => join(late, this.#requests));
  }

  /** In the end every pool has a node again. */
  async end(): Promise<void> {
    if (this.#habits.has('drain'))
      for (const machine of this.#machines) await this.#setDraining(machine, false);
    if (!this.#habits.has('secondPool')) return;
    // Refused while an earlier resize is under way.
    while (!(await this.#resize(2))) await this.#requests.pause(RETRY_MS);
  }

  async #resize(nodes: number): Promise<boolean> {
    const nodeDeallocationOption = this.#random.pick(OPTIONS);
    const { ok } = await this.#requests.command(MESH_GROUP, () => ({
      kind: 'pool.resize',
      pool: SECOND_POOL,
      resize: { targetDedicatedNodes: nodes, nodeDeallocationOption },
    }));
    return ok;
  }

  async #setDraining(machine: SimMachine, draining: boolean): Promise<void> {
    if (!machine.hasJoined) return;
    await this.#requests.command(MESH_GROUP, () => ({
      kind: 'machine.drain',
      machine: machine.id,
      draining,
    }));
  }

  /** A pool with an empty job, deleted again. */
  async #briefPool(): Promise<void> {
    if (!(await this.#addPool(DELETED_POOL, { targetDedicatedNodes: 1 }))) return;
    await addJob(this.#requests, 'brief-job', DELETED_POOL);
    await this.#requests.pause(this.#random.int(0, BRIEF_MS_MAX));
    await this.#requests.command(MESH_GROUP, () => ({ kind: 'pool.delete', pool: DELETED_POOL }));
  }

  /** Its disk is lost to the mesh. */
  async #remove(machine: SimMachine): Promise<void> {
    if (!machine.isUp || !this.#disks.spendMember(machine)) return;
    const { id } = machine;
    const { files } = this.#referee;
    files?.diskGoes(machine);
    const { ok } = await this.#requests.command(MESH_GROUP, () => ({ kind: 'machine.remove', machine: id }));
    // What came to it alone meanwhile.
    files?.diskGoes(machine);
    if (ok && machine.id === id) this.#removed.add(machine);
  }
}

/** Of nodes with two slots, unless `settings` says so. False where the mesh refuses it. */
export async function addPool(requests: Requests, id: string, settings: Partial<PoolSpec>): Promise<boolean> {
  const added = await requests.command(MESH_GROUP, (life) => ({
    kind: 'pool.add',
    spec: { id, vmSize: 'shoal.1c1g', taskSlotsPerNode: 2, ...settings },
    voters: life.coordinator.chooseVoters(),
  }));
  if (added.ok || added.code !== 'ServerBusy') return added.ok;
  // The machine that was asked had not heard who is in the mesh.
  await requests.pause(RETRY_MS);
  return addPool(requests, id, settings);
}

/** Tried until it succeeds: else the pool might have no node at the end. */
function startTaskOf(random: Prng): StartTask {
  return {
    commandLine: commandLineOf({ ...SOUND, durationMs: random.int(10, 1_500), failPercent: 30 }),
    maxTaskRetryCount: -1,
  };
}
