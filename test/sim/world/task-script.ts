/** What a simulated process does, written in its command line. */
export interface TaskScript {
  readonly durationMs: number;
  /** Of a hundred runs, how many exit 1; which ones follows from the execution's name. */
  readonly failPercent: number;
  /** It ignores SIGTERM. */
  readonly stubborn: boolean;
  /** It leaves a child behind that goes on when it has ended. */
  readonly forks: boolean;
  /** Time that its inputs take. */
  readonly prepareMs: number;
}

/** Nothing is odd about it. */
export const SOUND: TaskScript = {
  durationMs: 0,
  failPercent: 0,
  stubborn: false,
  forks: false,
  prepareMs: 0,
};

export function commandLineOf({ durationMs, failPercent, stubborn, forks, prepareMs }: TaskScript): string {
  return `simulated ${durationMs} ${failPercent} ${stubborn ? 1 : 0} ${prepareMs} ${forks ? 1 : 0}`;
}

/** `words` without the program. */
export function scriptOf(commandLine: string): TaskScript {
  const [, durationMs, failPercent, stubborn, prepareMs, forks] = commandLine.split(' ').map(Number);
  return {
    durationMs: durationMs ?? 0,
    failPercent: failPercent ?? 0,
    stubborn: stubborn === 1,
    forks: forks === 1,
    prepareMs: prepareMs ?? 0,
  };
}
