import { expect, test } from 'vitest';
import type { PoolEffect, RowWrite } from '../../../coordinator/core/interface.ts';
import type { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import type { CommandBatch, PoolCommand } from '../../../src/model/commands.ts';
import type { JobEntity, Page } from '../../../src/model/queries.ts';
import { fc } from '../../support/properties.ts';
import { MemoryRows, newMachine, restored } from './pool-harness.ts';
import { RandomPool } from './random-pool.ts';

const STEPS = 150;
/** More by hand: RUNS=1000 npx vitest run test/unit/core/pool-random.test.ts */
const RUNS = Number(process.env.RUNS ?? 30);
/** Seeds that once failed: queues of another order after a restart gave a sample another number. */
const FOUND = [1488150430];
/** Of runs that look for what the others did not come to. */
const MORE_RUNS_MAX = 100;

/** Sees the effects and keeps its own books of what was dispatched. */
class Observer {
  readonly #live = new Map<string, PoolEffect & { kind: 'dispatch' }>();
  readonly #lastEpoch = new Map<string, number>();
  readonly #unsure = new Set<string>();

  see(
    done: readonly { readonly command: PoolCommand; readonly outcome: unknown }[],
    effects: readonly PoolEffect[],
  ): void {
    const freed = new Set<string>();
    for (const { command, outcome } of done) {
      if (command.kind === 'report')
        this.#seeReport(command, (outcome as { value: readonly string[] }).value);
      if (command.kind === 'node.lost' || command.kind === 'node.heard') freed.add(command.node);
      if (command.kind === 'mirror')
        for (const node of [...command.removed, ...command.nodes.map(({ node }) => node)]) freed.add(node);
    }
    for (const [key, { node }] of this.#live) {
      if (!freed.has(node)) continue;
      this.#live.delete(key);
      this.#unsure.add(key);
    }
    for (const effect of effects) if (effect.kind === 'dispatch') this.#seeDispatch(effect, freed);
  }

  /** A recorded outcome is of the one live execution, on its node, under its epoch. */
  #seeReport({ node, items }: PoolCommand & { kind: 'report' }, verdicts: readonly string[]): void {
    items.forEach(({ job, task, epoch, outcome }, position) => {
      if (verdicts[position] === 'stale' || outcome === undefined) return;
      if (this.#unsure.has(`${job}/${task}`)) return;
      expect(this.#live.get(`${job}/${task}`)).toMatchObject({ node, epoch });
      this.#live.delete(`${job}/${task}`);
    });
  }

  /** A task is given out again only after its last execution ended, or its node was lost. */
  #seeDispatch(effect: PoolEffect & { kind: 'dispatch' }, freed: ReadonlySet<string>): void {
    const key = `${effect.job}/${effect.task}`;
    expect(this.#live.get(key)).toBeUndefined();
    expect(effect.epoch).toBeGreaterThan(this.#lastEpoch.get(key) ?? 0);
    this.#lastEpoch.set(key, effect.epoch);
    // Whether a node that the same entry freed was freed before or after is not told by the effects.
    if (freed.has(effect.node)) return void this.#unsure.add(key);
    this.#unsure.delete(key);
    this.#live.set(key, effect);
  }
}

function plain(writes: readonly RowWrite[]): unknown[] {
  return writes.map((write) =>
    write.kind === 'put' ? [write.key, Buffer.from(write.value).toString('base64')] : write,
  );
}

/** What happened in any run: a generator that never gets there would prove nothing. */
const seen = new Map<string, number>();

interface Request {
  readonly requestId: string | null;
  readonly command: PoolCommand;
}

/** One replica that is never restarted and one that often is, on the same entries. */
class Replicas {
  readonly #rows = new MemoryRows();
  readonly #steady = newMachine();
  #restarting = newMachine();
  readonly #commands: RandomPool;
  readonly #observer = new Observer();
  readonly #answered = new Map<string, { readonly request: Request; readonly outcome: unknown }>();
  #timeMs = 1_000_000;

  constructor(seed: number) {
    this.#commands = new RandomPool(seed, () => this.#steady);
  }

  step(index: number): void {
    const { random } = this.#commands;
    this.#timeMs += random.int(-100, 2_000);
    const commands = Array.from({ length: random.int(1, 3) }, (_, position) =>
      this.#request(`${index}.${position}`),
    );
    if (random.chance(0.15)) this.#restarting = restored(this.#rows);
    const batch: CommandBatch = { timeMs: this.#timeMs, commands };
    const applied = this.#steady.apply(index, batch);
    const again = this.#restarting.apply(index, batch);
    // A replica that was restarted writes the same bytes, gives the same answers and wants the same done.
    expect(plain(again.writes)).toEqual(plain(applied.writes));
    expect({ ...again, writes: [] }).toEqual({ ...applied, writes: [] });
    expect(this.#restarting.dueAtMs()).toBe(this.#steady.dueAtMs());
    this.#rows.write(applied.writes);
    this.#steady.sanityCheck();
    this.#restarting.sanityCheck();
    this.#observer.see(this.#fresh(commands, applied.results), applied.effects);
    for (const { kind } of [...applied.events, ...applied.effects]) seen.set(kind, (seen.get(kind) ?? 0) + 1);
  }

  #request(id: string): Request {
    const { random } = this.#commands;
    const earlier = random.chance(0.05) ? [...this.#answered.values()].at(-1) : undefined;
    return earlier?.request ?? { requestId: random.chance(0.5) ? id : null, command: this.#commands.next() };
  }

  /** Those that are not repetitions; a repetition has the answer it had. */
  #fresh(
    requests: readonly Request[],
    outcomes: readonly unknown[],
  ): { command: PoolCommand; outcome: unknown }[] {
    return requests.flatMap((request, position) => {
      const outcome = outcomes[position];
      const { requestId, command } = request;
      const earlier = requestId === null ? undefined : this.#answered.get(requestId);
      if (earlier !== undefined) {
        expect(outcome).toEqual(earlier.outcome);
        return [];
      }
      if (requestId !== null) this.#answered.set(requestId, { request, outcome });
      return [{ command, outcome }];
    });
  }

  /** Everything that clients can read. */
  async compare(): Promise<void> {
    const dump = async (machine: PoolMachine): Promise<unknown> => {
      const jobs = (await machine.query('job.list', { limit: 1000 }, this.#rows)) as Page<JobEntity>;
      const tasks = jobs.items.map(({ spec }) =>
        machine.query('task.list', { job: spec.id, limit: 1000 }, this.#rows),
      );
      const nodes = machine.query('node.list', { limit: 1000 }, this.#rows);
      const executions = [...machine.nodeIds()].map((node) => [...machine.executions(node)]);
      return [jobs, await Promise.all(tasks), await nodes, executions];
    };
    expect(await dump(restored(this.#rows))).toEqual(await dump(this.#steady));
  }
}

async function tryAll(seed: number): Promise<void> {
  const replicas = new Replicas(seed);
  for (let index = 1; index <= STEPS; index++) replicas.step(index);
  await replicas.compare();
}

test('whatever is sent, every invariant holds after each entry, and a restarted replica does the same', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), tryAll), {
    numRuns: RUNS,
    examples: FOUND.map((seed) => [seed]),
    endOnFailure: true,
  });
  const kinds = [
    'dispatch',
    'stop',
    'nodeEmpty',
    'jobGone',
    'task.completed',
    'task.failed',
    'job.completed',
    'job.disabled',
    'job.deleted',
    'node.lost',
    'node.heard',
    'node.removed',
    'node.booted',
    'node.start',
    'node.startFailed',
    'node.preparation',
    'node.preparationFailed',
    'node.release',
    'node.releaseFailed',
    'node.reboot',
    'node.reimage',
  ];
  const unseen = (): readonly string[] => kinds.filter((kind) => !seen.has(kind));
  // Some are rare.
  for (let seed = 1; seed <= MORE_RUNS_MAX && unseen().length > 0; seed++) await tryAll(seed);
  expect(unseen()).toEqual([]);
});
