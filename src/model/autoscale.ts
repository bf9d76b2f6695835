/** Automatic scaling of a pool: its settings, and what an evaluation of its formula says. */
import type { NodeDeallocationOption } from './pool.ts';

export interface AutoScaleSettings {
  readonly formula: string;
  readonly intervalMs: number;
  /** Ours: also evaluated when work or nodes of the pool change. */
  readonly onChange: boolean;
  /** Version of the pool when this was set: a run of older settings is not recorded. */
  readonly version: string;
  /** Runs recorded under this version; each names the number it follows, so that two coordinators record no run twice. */
  readonly runs: number;
}

export interface AutoScaleTargets {
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
  readonly nodeDeallocationOption: NodeDeallocationOption;
}

/** Azure Batch's AutoScaleRun: the last evaluation that was recorded. */
export interface AutoScaleRun {
  readonly timestampMs: number;
  /** `$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue;…` */
  readonly results: string;
  /** With the place: `Line 1, Col 1: Undefined symbol: x`. */
  readonly error?: string;
}

/** Samples that a statement read. */
export interface AutoScaleRead {
  /** As the formula has it: `$PendingTasks.GetSample(TimeInterval_Minute * 5)`. */
  readonly text: string;
  readonly variable: string;
  readonly count: number;
  /** The last of them, oldest first. */
  readonly newest: readonly number[];
}

export interface AutoScaleStatement {
  readonly line: number;
  readonly text: string;
  readonly variable?: string;
  readonly value: string;
  readonly reads: readonly AutoScaleRead[];
}

/** Asks a pool's group what a formula would do. The group knows tasks and nodes; time, chance and targets come from who asks. */
export interface AutoScaleQuestion {
  readonly formula: string;
  /** Wall clock; the group's own time where that is later. */
  readonly nowMs: number;
  /** Of `rand()`. */
  readonly seed: number;
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
}

/** What a formula would do now; nothing is changed by asking. */
export interface AutoScaleEvaluation {
  readonly timestampMs: number;
  readonly results: string;
  readonly targets: AutoScaleTargets;
  readonly error?: string;
  readonly statements: readonly AutoScaleStatement[];
}

/** A formula at work on a pool, and what stands between its targets and the pool's nodes. */
export interface AutoScaleExplanation {
  readonly pool: string;
  readonly formula: string;
  readonly evaluation: AutoScaleEvaluation;
  readonly targetDedicatedNodes: number;
  readonly targetLowPriorityNodes: number;
  readonly currentDedicatedNodes: number;
  readonly currentLowPriorityNodes: number;
  /** These two are absent where the pool is sized by hand. */
  readonly intervalMs?: number;
  readonly onChange?: boolean;
  readonly lastRun?: AutoScaleRun;
  readonly heldBack: readonly { readonly rule: string; readonly detail: string; readonly remedy: string }[];
}
