/**
 * What the leader of the mesh group does beside Raft: packs nodes of pools onto machines whenever the estate or a wish
 * changed, and says that time has passed. Like every leader's loop it starts from the state alone.
 */
import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError } from '../../src/lib/errors.ts';
import { MESH_PACK_GATHER_MS, MESH_PACK_PERIOD_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { MeshCommand } from '../../src/model/commands.ts';
import type { MeshMachine } from '../core/mesh/machine.ts';
import { isEmptyPlan, type PackView, packNodes } from '../placement/nodes.ts';
import type { GroupHost } from './group-host.ts';
import type { Presence } from './presence.ts';
import type { Replica } from './replica.ts';

export interface MeshLeaderOptions {
  readonly replica: Replica;
  readonly host: GroupHost;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Log;
}

/** What of the mesh group's state a packing goes by: each list is the same array until something of it changes. */
interface Estate {
  readonly machines: readonly unknown[];
  readonly pools: readonly unknown[];
  readonly allotments: readonly unknown[];
}

export class MeshLeader {
  readonly #options: MeshLeaderOptions;
  #timer: Timer | undefined;
  #packing = false;
  #packDue = false;
  #packTimer: Timer | undefined;
  #packedAtMs = Number.NEGATIVE_INFINITY;
  /** What the last packing went by. */
  #packed: Estate | undefined;
  #sweeping = false;
  #stopped = false;

  constructor(options: MeshLeaderOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = every(this.#options.clock, MESH_PACK_PERIOD_MS, () => this.wake());
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#packTimer?.cancel();
  }

  get #mesh(): MeshMachine {
    return this.#options.replica.machine as MeshMachine;
  }

  /** The state moved, most often by what no node depends on: a job was added, a blob was put. */
  meshChanged(): void {
    if (this.#packed !== undefined && isSame(this.#packed, this.#estate())) this.#sweep();
    else this.wake();
  }

  /** A machine came or went, or time has passed. */
  wake(): void {
    if (this.#stopped || this.#mesh.settings() === undefined) return;
    this.#sweep();
    if (this.#packing || this.#packTimer !== undefined) {
      this.#packDue = true;
      return;
    }
    const { clock } = this.#options;
    const waitMs = this.#packedAtMs + MESH_PACK_GATHER_MS - clock.monotonicMs();
    if (waitMs > 0)
      this.#packTimer = clock.after(waitMs, () => {
        this.#packTimer = undefined;
        this.wake();
      });
    else this.#pack();
  }

  #pack(): void {
    this.#packDue = false;
    this.#packedAtMs = this.#options.clock.monotonicMs();
    this.#packed = this.#estate();
    const plan = packNodes(this.#view());
    if (isEmptyPlan(plan)) return;
    this.#packing = true;
    this.#propose({ kind: 'allot', ...plan }, () => {
      this.#packing = false;
      if (this.#packDue) this.wake();
    });
  }

  #estate(): Estate {
    const mesh = this.#mesh;
    return { machines: mesh.machines(), pools: mesh.pools(), allotments: mesh.allotments() };
  }

  #view(): PackView {
    const mesh = this.#mesh;
    const { presence } = this.#options;
    const idle = new Set(mesh.pools().flatMap(({ idleNodes }) => idleNodes ?? []));
    return {
      nextNodeNumber: mesh.nextNodeNumber(),
      pools: mesh.pools(),
      allotments: mesh.allotments(),
      // Tasks are known to the pools' own groups; this much of them was told when a formula made its pool shrink.
      runningTasks: (node) => (idle.has(node) ? 0 : 1),
      machines: mesh.machines().map(({ id, capacity, scheduling }) => ({
        id,
        capacity,
        scheduling,
        alive: presence.isAlive(id),
        forMs: presence.sinceMs(id),
      })),
    };
  }

  #sweep(): void {
    const { host, replica } = this.#options;
    const dueAtMs = this.#mesh.dueAtMs();
    if (this.#sweeping || dueAtMs === undefined || dueAtMs > host.groupMs(replica)) return;
    this.#sweeping = true;
    this.#propose({ kind: 'mesh.sweep' }, () => {
      this.#sweeping = false;
    });
  }

  #propose(command: MeshCommand, after: () => void): void {
    const { replica, host, log } = this.#options;
    const proposed = replica.propose(null, command);
    host.wake(replica);
    proposed.then(
      ({ outcome }) => {
        if (!outcome.ok)
          log.warn(
            { command: command.kind, code: outcome.code, message: outcome.message },
            'the mesh group refused its own coordinator',
          );
        after();
      },
      (error: unknown) => {
        log.debug(
          { command: command.kind, error: asShoalError(error).message },
          'a proposal of the coordinator was not taken',
        );
        after();
      },
    );
  }
}

function isSame(a: Estate, b: Estate): boolean {
  return a.machines === b.machines && a.pools === b.pools && a.allotments === b.allotments;
}
