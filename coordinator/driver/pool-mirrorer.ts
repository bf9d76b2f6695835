/** Brings what the mesh group says of a pool and its nodes into the pool's own group, which this machine leads. */
import { MIRROR_NODES_MAX } from '../../src/lib/limits.ts';
import type { PoolCommand, PoolMirror } from '../../src/model/commands.ts';
import type { Allotment } from '../../src/model/machine.ts';
import type { PoolMachine } from '../core/pool/machine.ts';

/** The pool as the mesh group has it, read from this machine's own replica of that group. */
export interface PoolView {
  /** Applied index of the mesh group. */
  readonly meshIndex: number;
  readonly pool: PoolMirror;
  /** The same array, of the same records, until one of them comes, goes or is another. */
  readonly allotments: readonly Allotment[];
}

export interface PoolMirrorerOptions {
  readonly machine: PoolMachine;
  readonly view: () => PoolView;
  /** Proposes to the pool's group; `after` hears whether it was taken. */
  readonly attempt: (command: PoolCommand, after: (isTaken: boolean) => void) => void;
  /** The pool's group knows these nodes now, as they are, and those no more. */
  readonly onMirrored: (told: readonly Allotment[], removed: readonly string[]) => void;
}

export class PoolMirrorer {
  readonly #options: PoolMirrorerOptions;
  /** There may be more to tell although the mesh group has not moved. */
  isDue = false;
  #isTelling = false;
  #stopped = false;
  /** What of the mesh group's view the pool's group has. */
  readonly #nodes = new Map<string, Allotment>();
  #pool = '';
  #allotments: readonly Allotment[] | undefined;

  constructor(options: PoolMirrorerOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * The mesh group moved: nodes come, leave or are gone. Only what is new of them is told: a pool of many machines moves
   * with each that joins.
   */
  update(): void {
    if (this.#isTelling) {
      this.isDue = true;
      return;
    }
    const { meshIndex, pool, allotments } = this.#options.view();
    const poolText = JSON.stringify(pool);
    const isSamePool = poolText === this.#pool;
    if (isSamePool && allotments === this.#allotments && !this.isDue) return;
    this.isDue = false;
    const removed = this.#forgettable(allotments);
    const changed = allotments.filter((allotment) => this.#nodes.get(allotment.node) !== allotment);
    if (isSamePool && changed.length === 0 && removed.length === 0) {
      this.#allotments = allotments;
      return;
    }
    const told = changed.slice(0, MIRROR_NODES_MAX);
    const nodes = told.map(({ pool: _, ...node }) => node);
    this.#isTelling = true;
    this.#options.attempt({ kind: 'mirror', meshIndex, pool, nodes, removed }, (isTaken) => {
      this.#isTelling = false;
      if (this.#stopped) return;
      if (!isTaken) {
        this.isDue = true;
        return;
      }
      this.#pool = poolText;
      this.#note(told, removed);
      if (told.length < changed.length) this.update();
    });
  }

  #note(told: readonly Allotment[], removed: readonly string[]): void {
    for (const allotment of told) this.#nodes.set(allotment.node, allotment);
    for (const node of removed) this.#nodes.delete(node);
    this.#options.onMirrored(told, removed);
  }

  #forgettable(allotments: readonly Allotment[]): readonly string[] {
    const present = new Set(allotments.map(({ node }) => node));
    const { machine } = this.#options;
    return [...machine.nodeIds()].filter((node) => !present.has(node) && this.#mayForget(node));
  }

  /** A node that the mesh group dropped is forgotten only once nothing of it can still run: it is empty, or was called lost. */
  #mayForget(node: string): boolean {
    const { machine } = this.#options;
    const info = machine.node(node);
    if (info === undefined || info.state === 'unknown') return true;
    for (const _ of machine.executions(node)) {
      this.isDue = true;
      return false;
    }
    return true;
  }
}
