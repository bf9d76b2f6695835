/** How large a world is. What happens in it follows from its seed alone. */
export interface Profile {
  readonly machines: number;
  /** Of all jobs together, besides what clients add for other reasons. */
  readonly tasks: number;
  readonly jobs: number;
  /** One of these bounds how long a task takes. */
  readonly taskMsMax: readonly number[];
  /** How long faults go on. */
  readonly chaosMs: { readonly low: number; readonly high: number };
  /** From one fault to the next. */
  readonly pauseMs: { readonly low: number; readonly high: number };
}

/** The world of tests and planted bugs: large enough for a majority, a second pool and a machine that comes late. */
export const SMALL: Profile = {
  machines: 5,
  tasks: 200,
  jobs: 4,
  taskMsMax: [40, 150, 800],
  chaosMs: { low: 2_000, high: 6_000 },
  pauseMs: { low: 50, high: 1_500 },
};

/** So long that machines collect what nothing refers to any more, in the midst of faults. */
export const LONG: Profile = {
  machines: 5,
  tasks: 40,
  jobs: 3,
  taskMsMax: [150, 800],
  chaosMs: { low: 100_000, high: 130_000 },
  pauseMs: { low: 2_000, high: 14_000 },
};

const NAMES = ['ada', 'bob', 'cyd', 'dan', 'eve'];

export function machineName(number: number): string {
  return NAMES[number] ?? `m${number}`;
}
