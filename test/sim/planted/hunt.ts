/** Looks for planted bugs with the simulation: each in a worker thread of its own, two at a time. */
import { Worker } from 'node:worker_threads';
import { compileLess } from '../../../src/lib/compile-less.ts';
import { bundleWith } from './bundle.ts';
import type { PlantedBug } from './planted-bug.ts';
import type { Complaint, Search, SearchResult, World } from './worlds-worker.ts';

const WORKERS = 2;
/** One search; a bug that makes a world run for ever is not found. */
const SEARCH_MS_MAX = 240_000;

export interface Finding {
  readonly bug: PlantedBug;
  /** Undefined: no world showed it. */
  readonly caught: Complaint | undefined;
  /** What was complained about before. */
  readonly others: readonly Complaint[];
}

/** In the order of `bugs`. */
export function hunt(
  root: string,
  bugs: readonly PlantedBug[],
  onFinding: (finding: Finding) => void = () => undefined,
): Promise<readonly Finding[]> {
  compileLess();
  return inParallel(bugs, async (bug) => {
    const program = await bundleWith(root, bug.changes);
    const seeds = seedsOf(bug, bug.seedsMax);
    const { found, complaints } = await search(program, { where: worldOf(bug), seeds, rules: bug.breaks });
    const finding = {
      bug,
      caught: found ? complaints.at(-1) : undefined,
      others: found ? complaints.slice(0, -1) : complaints,
    };
    onFinding(finding);
    return finding;
  });
}

/** What the code as it is does in all the worlds that were visited: nothing to complain about, or a bug was no bug. */
export async function complaintsWithoutBugs(
  root: string,
  findings: readonly Finding[],
): Promise<readonly Complaint[]> {
  const program = await bundleWith(root, []);
  const results = await inParallel(visited(findings), ({ where, seeds }) =>
    search(program, { where, seeds: [...seeds].sort((a, b) => a - b), rules: [] }),
  );
  return results.flatMap(({ complaints }) => complaints);
}

/** Each kind of world once, with the seeds that were run in it. */
function visited(findings: readonly Finding[]): { readonly where: World; readonly seeds: Set<number> }[] {
  const seen = new Map<string, { where: World; seeds: Set<number> }>();
  for (const { bug, caught } of findings) {
    const where = worldOf(bug);
    const key = JSON.stringify(where);
    const seeds = seen.get(key)?.seeds ?? new Set<number>();
    for (const seed of seedsOf(bug, caught?.seed ?? bug.seedsMax)) seeds.add(seed);
    seen.set(key, { where, seeds });
  }
  return [...seen.values()];
}

function worldOf({ world, options }: PlantedBug): World {
  return { world, options };
}

function seedsOf({ seedsFrom = 1 }: PlantedBug, last: number): number[] {
  return Array.from({ length: last - seedsFrom + 1 }, (_, position) => seedsFrom + position);
}

function search(program: string, what: Search): Promise<SearchResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(program, { workerData: what });
    const timer = setTimeout(() => {
      resolve({ found: false, complaints: [{ seed: 0, rule: 'time', message: 'the search took too long' }] });
      void worker.terminate();
    }, SEARCH_MS_MAX);
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => {
      clearTimeout(timer);
      reject(new Error('the worker ended without a result'));
    });
  });
}

async function inParallel<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.entries();
  const work = async (): Promise<void> => {
    for (const [position, item] of waiting) results[position] = await act(item);
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return results;
}
