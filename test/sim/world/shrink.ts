/**
 * The least that still goes wrong: fewer kinds of faults first, then fewer single faults (delta debugging, Zeller's
 * ddmin). Each try is a whole world with part of the script, so a bound on tries ends it, with the best so far.
 */
import type { FaultKind, FaultScript } from './fault-script.ts';
import { type RunOptions, type RunResult, runSeed } from './simulation.ts';

export interface ShrinkBounds {
  readonly worldsMax: number;
  readonly untilMs: number;
  readonly nowMs: () => number;
}

/** The failed run with the smallest script that was found; its failure may be another one than that of `failed`. */
export async function shrink(
  failed: RunResult,
  options: RunOptions,
  bounds: ShrinkBounds,
): Promise<RunResult> {
  let best = failed;
  let worlds = 0;
  const fails = async (script: FaultScript): Promise<boolean> => {
    if (script.length >= best.script.length) return false;
    if (worlds >= bounds.worldsMax || bounds.nowMs() > bounds.untilMs) return false;
    worlds += 1;
    const result = await runSeed({ ...withoutDraw(options), script, keepTimeline: true });
    if (result.failure === undefined) return false;
    best = result;
    return true;
  };
  for (const kind of new Set(failed.script.map((event) => event.kind)))
    await fails(without(best.script, kind));
  await minimise(() => best.script, fails);
  return best;
}

function withoutDraw({ faults: _, onLine: __, ...options }: RunOptions): RunOptions {
  return options;
}

function without(script: FaultScript, kind: FaultKind): FaultScript {
  return script.filter((event) => event.kind !== kind);
}

/** Leaves out ever smaller parts, as long as what is left fails. `current` is what failed last. */
export async function minimise<T>(
  current: () => readonly T[],
  fails: (items: readonly T[]) => Promise<boolean>,
): Promise<void> {
  let parts = 2;
  while (current().length > 0) {
    const items = current();
    const size = Math.ceil(items.length / parts);
    let shrank = false;
    for (let from = 0; from < items.length && !shrank; from += size)
      shrank = await fails([...items.slice(0, from), ...items.slice(from + size)]);
    if (shrank) parts = Math.max(2, parts - 1);
    else if (size === 1) return;
    else parts = Math.min(items.length, parts * 2);
  }
}
