/** Bugs that are planted on purpose, one at a time and in a copy of the code only, to see whether the simulation finds them. */
import type { StormFaults } from '../raft-storm.ts';
import type { RunOptions } from '../world/simulation.ts';

export interface Change {
  /** From the root of the repository. */
  readonly file: string;
  /** Must stand in the file exactly once, so that a bug cannot rot unseen when the code moves on. */
  readonly find: string;
  readonly replace: string;
}

interface Bug {
  readonly name: string;
  /** It is found when a referee sees one of these rules broken; any other complaint does not count. */
  readonly breaks: readonly string[];
  /** More than one where a second defence would hide the first one's absence. */
  readonly changes: readonly Change[];
  /** Worlds of seed 1 and up, of which one must show it. */
  readonly seedsMax: number;
  /** Of a bug that is seldom seen: in the worlds before this one it was looked for in vain. Default 1. */
  readonly seedsFrom?: number;
}

/** In one group: its replicas, their disks, the messages between them. */
export interface RaftBug extends Bug {
  readonly world: 'raft';
  /** In place of the seed's own draw: what makes the bug likely. */
  readonly options: Partial<StormFaults>;
}

/** In a mesh: machines with coordinators, agents and runners, and clients that use them. */
export interface ControlPlaneBug extends Bug {
  readonly world: 'control-plane';
  readonly options: Omit<RunOptions, 'seed' | 'onLine' | 'keepTimeline'>;
}

export type PlantedBug = RaftBug | ControlPlaneBug;
