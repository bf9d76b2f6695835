import { describe, expect, test } from 'vitest';
import { runStorm } from './raft-storm.ts';

const SEEDS = Number(process.env.RAFT_SEEDS ?? 300);
const FIRST_SEED = Number(process.env.RAFT_SEED ?? 1);

describe('a group in a storm', () => {
  test(`keeps R1 to R11 and recovers once the faults stop, in ${SEEDS} worlds`, () => {
    let committed = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        committed += runStorm(seed).committed;
      } catch (thrown) {
        throw new Error(`seed ${seed} (run it alone with RAFT_SEED=${seed} RAFT_SEEDS=1)`, { cause: thrown });
      }
    }
    // A storm in which nothing is ever decided proves nothing.
    expect(committed / SEEDS).toBeGreaterThan(10);
  }, 60_000);

  test('takes the same course for the same seed', () => {
    expect(runStorm(7)).toEqual(runStorm(7));
  });
});
