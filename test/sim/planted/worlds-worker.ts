/** A worker thread that runs worlds, one seed after another, until one shows what is looked for. Bundled by bundle.ts. */
import '../../../src/lib/polyfill.ts';
import { parentPort, workerData } from 'node:worker_threads';
import { runStorm } from '../raft-storm.ts';
import { runSeed } from '../world/simulation.ts';
import type { PlantedBug } from './planted-bug.ts';

export type World = Pick<PlantedBug, 'world' | 'options'>;

export interface Search {
  readonly where: World;
  readonly seeds: readonly number[];
  /** A complaint about one of these ends the search. */
  readonly rules: readonly string[];
}

export interface Complaint {
  readonly seed: number;
  /** As the invariants are called; `assertion` where the product itself noticed. */
  readonly rule: string;
  readonly message: string;
}

/** The last complaint is the one that was looked for, if `found`. */
export interface SearchResult {
  readonly found: boolean;
  readonly complaints: readonly Complaint[];
}

// Refusals are errors too, and their stacks cost a world more than what they say.
Error.stackTraceLimit = 0;

parentPort?.postMessage(await search(workerData as Search));

async function search({ where, seeds, rules }: Search): Promise<SearchResult> {
  const complaints: Complaint[] = [];
  for (const seed of seeds) {
    const failure = await failureOf(where as PlantedBug, seed);
    if (failure === undefined) continue;
    const complaint = { seed, rule: ruleOf(failure), message: failure.message };
    complaints.push(complaint);
    if (rules.includes(complaint.rule)) return { found: true, complaints };
  }
  return { found: false, complaints };
}

async function failureOf(where: PlantedBug, seed: number): Promise<Error | undefined> {
  if (where.world === 'control-plane')
    return (await runSeed({ ...where.options, seed, keepTimeline: false })).failure;
  try {
    runStorm(seed, where.options);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

/** `S4: …` of a referee, maybe as the reason why an agent ended; `… (S21)` of the state machines' own audit. */
function ruleOf({ message }: Error): string {
  const [first = ''] = message.split('\n');
  const named =
    [...first.matchAll(/\b([RSLF]\d+|reads|copies|tokens): /g)].at(-1) ?? /\(([RSL]\d+)\)$/.exec(first);
  return named?.[1] ?? 'assertion';
}
