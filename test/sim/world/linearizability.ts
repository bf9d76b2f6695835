/**
 * Is there an order of these operations in which each has its effect at one moment between its call and its answer, and
 * every answer is what an object without concurrency would give? The search of Wing and Gong with Lowe's memory of
 * visited states, as in Knossos and Porcupine. Its time is exponential in the operations that overlap, so it is for
 * histories of small objects.
 */
export interface Operation<C, A> {
  readonly call: C;
  readonly calledAt: number;
  /** Undefined: never answered. It may have had its effect at any time since, or never. */
  readonly answer: A | undefined;
  readonly answeredAt: number;
}

/** What one object does when nobody else is there. */
export interface Specification<S, C, A> {
  readonly initial: S;
  /**
   * The states in which the object may be after this call was answered so (several where it changes by itself too); none
   * where the answer is impossible. With `answer` undefined: all states that the call could lead to.
   */
  readonly step: (state: S, call: C, answer: A | undefined) => readonly S[];
  /** Equal for equal states. */
  readonly nameOf: (state: S) => string;
}

/** Undefined where the history is linearizable; else the most operations that could be put in order, by index. */
export function findAnomaly<S, C, A>(
  { initial, step, nameOf }: Specification<S, C, A>,
  history: readonly Operation<C, A>[],
): readonly number[] | undefined {
  const operations = history.map((operation, index) => ({ operation, index, bit: 1n << BigInt(index) }));
  const answered = operations.reduce(
    (set, { operation, bit }) => (isAnswered(operation) ? set | bit : set),
    0n,
  );
  const visited = new Set<string>();
  let longest: readonly number[] = [];
  const search = (state: S, done: bigint, order: readonly number[]): boolean => {
    if ((done & answered) === answered) return true;
    const name = `${done.toString(36)} ${nameOf(state)}`;
    if (visited.has(name)) return false;
    visited.add(name);
    if (order.length > longest.length) longest = order;
    const open = operations.filter(({ bit }) => (done & bit) === 0n);
    // Whatever was called after one of these was answered cannot come before it.
    const bound = Math.min(
      ...open.map(({ operation }) => (isAnswered(operation) ? operation.answeredAt : Infinity)),
    );
    return open.some(
      ({ operation, index, bit }) =>
        operation.calledAt <= bound &&
        step(state, operation.call, operation.answer).some((next) =>
          search(next, done | bit, [...order, index]),
        ),
    );
  };
  return search(initial, 0n, []) ? undefined : longest;
}

function isAnswered<C, A>({ answer }: Operation<C, A>): boolean {
  return answer !== undefined;
}
