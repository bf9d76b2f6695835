/** Whoever runs the mesh: adds a second pool, resizes it, drains machines. In the end every pool has a node again. */
import type { Prng } from '../../../src/lib/prng.ts';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import type { StartTask } from '../../../src/model/node-task.ts';
import type { ClientModel } from './client-model.ts';
import type { SimMachine } from './sim-machine.ts';
import { commandLineOf } from './task-script.ts';
import type { VirtualTime } from './virtual-time.ts';

export const SECOND_POOL = 'second';

/** Tried until it succeeds: else the pool might have no node at the end. */
function startTaskOf(random: Prng): StartTask {
  const script = { durationMs: random.int(10, 1_500), failPercent: 30, stubborn: false, prepareMs: 0 };
  return { commandLine: commandLineOf(script), maxTaskRetryCount: -1 };
}

const RESIZE_RETRY_MS = 300;
const OPTIONS = ['requeue', 'terminate', 'taskcompletion'] as const;

export class OperatorModel {
  readonly #time: VirtualTime;
  readonly #random: Prng;
  readonly #client: ClientModel;
  readonly #machines: readonly SimMachine[];

  constructor(time: VirtualTime, random: Prng, client: ClientModel, machines: readonly SimMachine[]) {
    this.#time = time;
    this.#random = random;
    this.#client = client;
    this.#machines = machines;
  }

  /** Half of the worlds have nodes that start with a task; `onStart` hears so before there is any. */
  async addPool(onStart: (pool: string) => void): Promise<void> {
    const targetDedicatedNodes = this.#random.int(0, 2);
    const startTask = this.#random.chance(0.5) ? startTaskOf(this.#random) : undefined;
    if (startTask !== undefined) onStart(SECOND_POOL);
    const added = await this.#client.command(MESH_GROUP, (life) => ({
      kind: 'pool.add',
      spec: {
        id: SECOND_POOL,
        vmSize: 'shoal.1c1g',
        taskSlotsPerNode: 2,
        targetDedicatedNodes,
        ...(startTask === undefined ? {} : { startTask }),
      },
      voters: life.coordinator.chooseVoters(),
    }));
    if (!added.ok) throw new Error(`the pool was refused: ${added.code} ${added.message}`);
  }

  /** Some changes at random moments until then. */
  begin(untilMs: number): void {
    const random = this.#random;
    for (let change = 0; change < random.int(1, 5); change++) {
      const atMs = this.#time.nowMs + random.next() * (untilMs - this.#time.nowMs);
      this.#client.at(atMs, async () => {
        if (random.chance(0.6)) await this.#resize(random.int(0, 3));
        else await this.#drain();
      });
    }
  }

  async end(): Promise<void> {
    for (const machine of this.#machines) await this.#setDraining(machine, false);
    // Refused while an earlier resize is under way.
    while (!(await this.#resize(2))) await this.#client.pause(RESIZE_RETRY_MS);
  }

  async #resize(nodes: number): Promise<boolean> {
    const nodeDeallocationOption = this.#random.pick(OPTIONS);
    const { ok } = await this.#client.command(MESH_GROUP, () => ({
      kind: 'pool.resize',
      pool: SECOND_POOL,
      resize: { targetDedicatedNodes: nodes, nodeDeallocationOption },
    }));
    return ok;
  }

  async #drain(): Promise<void> {
    await this.#setDraining(this.#random.pick(this.#machines), true);
  }

  async #setDraining(machine: SimMachine, draining: boolean): Promise<void> {
    await this.#client.command(MESH_GROUP, () => ({ kind: 'machine.drain', machine: machine.id, draining }));
  }
}
