/**
 * S18: a pool that is sized by a formula wants as many nodes as the formula allows and never more, none below zero, and one
 * run follows another once an interval, whoever leads. What a run counted of the pool the world cannot know, as tasks come and
 * go meanwhile; with nothing left to do it knows, and then the pool has just the nodes that its formula leaves it.
 */
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import type { PoolRecord } from '../../../coordinator/core/mesh/pools.ts';
import { AUTOSCALE_INTERVAL_MIN_MS, AUTOSCALE_ON_CHANGE_GAP_MS } from '../../../src/lib/limits.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { Course } from './course.ts';
import { addPool } from './operator-model.ts';
import { SCALED_POOL } from './pool-names.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';

const INTERVAL = 'PT5S';
const INTERVAL_MS = AUTOSCALE_INTERVAL_MIN_MS;
/** Clocks of machines run by so much too fast at most. */
const HASTE = 1.05;
/** Of two leaders that know nothing of each other each may have its run, and one may just have had its own. */
const RUNS_AN_ELECTION = 2;
const SHRINK_MS_MAX = 60_000;
/** Between two and three intervals, by any clock. */
const WATCHED_MS = 12_000;
const RUNS_WATCHED = { low: 2, high: 3 } as const;

interface Formula {
  readonly text: string;
  /** Wanted where nothing is to be done. */
  readonly least: number;
  readonly most: number;
}

/** Under one version of the settings. */
interface Runs {
  readonly sinceMs: number;
  /** Of the pool's leaders, before. */
  readonly elections: number;
  seen: number;
}

export interface ScaledPoolOptions {
  readonly requests: Requests;
  readonly random: Prng;
  readonly referee: Referee;
  /** The mesh group's state, by whoever knows most of it. */
  readonly books: () => MeshMachine | undefined;
}

export class ScaledPool {
  readonly #options: ScaledPoolOptions;
  readonly #formulas = new Map<string, Formula>();
  readonly #runs = new Map<string, Runs>();
  readonly #onChange: boolean;

  constructor(options: ScaledPoolOptions) {
    this.#options = options;
    this.#onChange = options.random.chance(0.5);
    options.referee.onMeshMoved = (mesh) => this.#inspect(mesh);
  }

  async add(): Promise<void> {
    const added = await addPool(this.#options.requests, SCALED_POOL, {
      enableAutoScale: true,
      autoScaleFormula: this.#newFormula(),
      autoScaleEvaluationInterval: INTERVAL,
      autoScaleOnChange: this.#onChange,
    });
    if (!added) throw new Error('the pool with a formula was refused');
  }

  /** Sometimes another formula takes the place of the first. */
  begin(untilMs: number): void {
    const { requests, random } = this.#options;
    if (!random.chance(0.5)) return;
    requests.at(requests.nowMs + random.next() * (untilMs - requests.nowMs), async () => {
      const change = { autoScaleFormula: this.#newFormula() };
      const { ok } = await requests.command(MESH_GROUP, () => ({
        kind: 'pool.enableAutoScale',
        pool: SCALED_POOL,
        change,
      }));
      if (!ok) throw new Error('another formula was refused');
    });
  }

  /** Low-priority nodes are always wanted below zero: there must be none. */
  #newFormula(): string {
    const { random } = this.#options;
    const least = random.int(0, 1);
    const most = random.int(2, 3);
    const option = random.pick(['requeue', 'taskcompletion']);
    const text = [
      `$TargetDedicatedNodes = max(${least}, min(${most}, $PendingTasks));`,
      '$TargetLowPriorityNodes = 0 - $PendingTasks;',
      `$NodeDeallocationOption = ${option};`,
    ].join('\n');
    this.#formulas.set(text, { text, least, most });
    return text;
  }

  // --- Always -------------------------------------------------------------------------------------------------------

  #inspect(mesh: MeshMachine): void {
    const pool = mesh.pool(SCALED_POOL);
    if (pool === undefined) return;
    this.#withinBounds(pool);
    this.#once(pool);
  }

  /** Until the first run of a new formula the targets are those of the one before. */
  #withinBounds(pool: PoolRecord): void {
    const { targetDedicatedNodes: nodes, targetLowPriorityNodes: lowPriority, autoScaleRun } = pool;
    const { referee } = this.#options;
    const isNew = pool.autoScale?.runs === 0;
    const formulas = isNew ? [...this.#formulas.values()] : [this.#formulaOf(pool)];
    const most = Math.max(...formulas.map((formula) => formula.most));
    const least = isNew ? 0 : Math.min(...formulas.map((formula) => formula.least));
    if (nodes < least || nodes > most || lowPriority !== 0)
      referee.fail('S18', `${nodes} and ${lowPriority} nodes are wanted, and ${least} to ${most} may be`);
    if (autoScaleRun?.error !== undefined)
      referee.fail('S18', `a sound formula could not be evaluated: ${autoScaleRun.error}`);
  }

  /** One run at the beginning, then at most one an interval, and what a change of the leader brings. */
  #once({ autoScale }: PoolRecord): void {
    if (autoScale === undefined) return;
    const { requests, referee } = this.#options;
    const { version, runs } = autoScale;
    const elections = referee.elections(poolGroup(SCALED_POOL));
    const known = this.#runs.get(version) ?? { sinceMs: requests.nowMs, elections, seen: 0 };
    this.#runs.set(version, known);
    if (runs <= known.seen) return;
    known.seen = runs;
    const periodMs = this.#onChange ? AUTOSCALE_ON_CHANGE_GAP_MS : INTERVAL_MS;
    const intervals = Math.floor(((requests.nowMs - known.sinceMs) * HASTE) / periodMs);
    const most = 1 + intervals + RUNS_AN_ELECTION * (elections - known.elections);
    if (runs > most) referee.fail('S18', `${runs} runs are recorded where ${most} may be`);
  }

  #formulaOf({ autoScale }: PoolRecord): Formula {
    const formula = this.#formulas.get(autoScale?.formula ?? '');
    if (formula === undefined) throw new Error('the pool has a formula that nobody gave it');
    return formula;
  }

  // --- The end --------------------------------------------------------------------------------------------------------

  /** Nothing is to be done any more: the pool shrinks to what its formula leaves it, and runs go on as before. */
  async comeToRest(course: Course): Promise<void> {
    await course.until(
      { rule: 'S18', what: 'the pool has the nodes that its formula leaves it', boundMs: SHRINK_MS_MAX },
      () => this.#isShrunk(),
      () => `: ${JSON.stringify(this.#pool())}`,
    );
    const before = this.#pool()?.autoScale?.runs ?? 0;
    await course.runFor(WATCHED_MS);
    const runs = (this.#pool()?.autoScale?.runs ?? 0) - before;
    if (runs < RUNS_WATCHED.low || runs > RUNS_WATCHED.high)
      this.#options.referee.fail('S18', `${runs} runs are recorded in ${WATCHED_MS} ms without a fault`);
  }

  #pool(): PoolRecord | undefined {
    return this.#options.books()?.pool(SCALED_POOL);
  }

  #isShrunk(): boolean {
    const pool = this.#pool();
    if (pool?.autoScale === undefined || pool.autoScale.runs === 0) return false;
    const { least } = this.#formulaOf(pool);
    const nodes = this.#options.books()?.allotments(SCALED_POOL).length;
    return pool.targetDedicatedNodes === least && nodes === least;
  }
}
