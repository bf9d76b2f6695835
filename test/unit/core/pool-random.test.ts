import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PoolEffect, RowWrite } from '../../../coordinator/core/interface.ts';
import type { CommandBatch, PoolCommand } from '../../../src/model/commands.ts';
import { MemoryRows, newMachine, restored } from './pool-harness.ts';
import { RandomPool } from './random-pool.ts';

const STEPS = 150;

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
      if (command.kind === 'node.lost') freed.add(command.node);
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

function run(seed: number): void {
  const rows = new MemoryRows();
  const steady = newMachine();
  let restarting = newMachine();
  const random = new RandomPool(seed, () => steady);
  const observer = new Observer();
  const asked: { requestId: string; command: PoolCommand; outcome: unknown }[] = [];
  let timeMs = 1_000_000;
  for (let index = 1; index <= STEPS; index++) {
    timeMs += random.random.int(-100, 2_000);
    const commands = Array.from({ length: random.random.int(1, 3) }, (_, position) => {
      const repeated = random.random.chance(0.05) ? asked.at(-1) : undefined;
      if (repeated !== undefined) return { requestId: repeated.requestId, command: repeated.command };
      return {
        requestId: random.random.chance(0.5) ? `r${index}.${position}` : null,
        command: random.next(),
      };
    });
    const batch: CommandBatch = { timeMs, commands };
    if (random.random.chance(0.15)) restarting = restored(rows);
    const applied = steady.apply(index, batch);
    const again = restarting.apply(index, batch);
    // A replica that was restarted writes the same bytes, gives the same answers and wants the same done.
    expect(plain(again.writes)).toEqual(plain(applied.writes));
    expect({ ...again, writes: [] }).toEqual({ ...applied, writes: [] });
    expect(restarting.dueAtMs()).toBe(steady.dueAtMs());
    rows.write(applied.writes);
    steady.sanityCheck();
    restarting.sanityCheck();
    const fresh: { command: PoolCommand; outcome: unknown }[] = [];
    commands.forEach(({ requestId, command }, position) => {
      const outcome = applied.results[position];
      const before = asked.find((one) => one.requestId === requestId);
      if (before !== undefined) expect(outcome).toEqual(before.outcome);
      else fresh.push({ command, outcome });
      if (before === undefined && requestId !== null) asked.push({ requestId, command, outcome });
    });
    observer.see(fresh, applied.effects);
  }
}

test('whatever is sent, every invariant holds after each entry, and a restarted replica does the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (seed) => run(seed)),
    { numRuns: Number(process.env.RUNS ?? 50), endOnFailure: true },
  );
});
