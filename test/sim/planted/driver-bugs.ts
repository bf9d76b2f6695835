/** Bugs of what runs beside Raft on each machine and on leaders. */
import { AGENTS_DIE, CALM, POWER_FAILS, RESTARTS, SNAPSHOTS, STRANDED } from './mesh-worlds.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

export const DRIVER_BUGS: readonly ControlPlaneBug[] = [
  {
    name: 'the driver never syncs',
    world: 'control-plane',
    options: POWER_FAILS,
    breaks: ['R1', 'R9', 'S1', 'S2'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/driver/turn-writer.ts',
        find: 'const written = this.#options.store.write({ groups }, sync).then(() => {',
        replace: 'const written = this.#options.store.write({ groups }, false).then(() => {',
      },
    ],
  },
  {
    name: 'a replica goes on with the rows that a snapshot has replaced',
    world: 'control-plane',
    options: SNAPSHOTS,
    breaks: ['R9', 'S1', 'S2', 'L3'],
    seedsMax: 100,
    changes: [
      {
        file: 'coordinator/driver/replica.ts',
        find: 'this.#rowsGroup = staged.rowsGroup;',
        replace: '',
      },
    ],
  },
  {
    name: 'a snapshot is sent before its rows are in the store',
    world: 'control-plane',
    options: CALM,
    breaks: ['R9'],
    seedsMax: 40,
    changes: [
      {
        file: 'coordinator/driver/group-host.ts',
        find: 'if (this.#snapshotsDue.length > 0) await this.#writer.flush();',
        replace: '',
      },
    ],
  },
  {
    name: 'the coordinator counts a lease shorter than the agent does',
    world: 'control-plane',
    options: STRANDED,
    breaks: ['S3', 'S4'],
    seedsMax: 150,
    changes: [
      {
        file: 'coordinator/driver/lease-book.ts',
        find: 'const TERM_MS = LEASE_MS * LEASE_MARGIN + KILL_GRACE_MS;',
        replace: 'const TERM_MS = LEASE_MS - KILL_GRACE_MS;',
      },
    ],
  },
  {
    name: 'a new coordinator does not give its nodes a whole lease',
    world: 'control-plane',
    options: AGENTS_DIE,
    breaks: ['S3', 'S4'],
    seedsMax: 100,
    changes: [
      {
        file: 'coordinator/driver/pool-leader.ts',
        find: 'for (const node of this.#machine.nodeIds()) this.#leases.ensure(node, this.#nowMs);',
        replace:
          'for (const node of this.#machine.nodeIds()) this.#leases.ensure(node, this.#nowMs - 3_000);',
      },
    ],
  },
  {
    // The state machine would hold it back, were it not planted there too.
    name: "the group's time goes back with a leader whose clock is behind",
    world: 'control-plane',
    options: AGENTS_DIE,
    breaks: ['R6'],
    seedsMax: 30,
    changes: [
      {
        file: 'coordinator/core/pool/turn.ts',
        find: 'if (timeMs > state.timeMs) state.timeMs = timeMs;',
        replace: 'state.timeMs = timeMs;',
      },
      {
        file: 'coordinator/driver/replica.ts',
        find: 'const timeMs = Math.max(groupMs, this.machine.timeMs());',
        replace: 'const timeMs = groupMs;',
      },
      {
        file: 'coordinator/driver/group-host.ts',
        find: 'return Math.max(this.wallMs(replica), replica.slewedMs(this.#options.clock.monotonicMs()));',
        replace: 'return this.wallMs(replica);',
      },
    ],
  },
  {
    name: 'answers of the mesh are not remembered',
    world: 'control-plane',
    options: RESTARTS,
    breaks: ['S19'],
    seedsMax: 40,
    changes: [
      {
        file: 'coordinator/core/mesh/requests.ts',
        find: 'return this.#answers.get(id);',
        replace: 'return undefined;',
      },
    ],
  },
];
