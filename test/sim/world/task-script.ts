/** What a simulated process does, written in its command line. */
export interface TaskScript {
  readonly durationMs: number;
  /** Of a hundred runs, how many exit 1; which ones follows from the execution's name. */
  readonly failPercent: number;
  /** It ignores SIGTERM. */
  readonly stubborn: boolean;
  /** Time that its inputs take. */
  readonly prepareMs: number;
}

export function commandLineOf({ durationMs, failPercent, stubborn, prepareMs }: TaskScript): string {
  return `simulated ${durationMs} ${failPercent} ${stubborn ? 1 : 0} ${prepareMs}`;
}

/** `words` without the program. */
export function scriptOf(commandLine: string): TaskScript {
  const [, durationMs, failPercent, stubborn, prepareMs] = commandLine.split(' ').map(Number);
  return {
    durationMs: durationMs ?? 0,
    failPercent: failPercent ?? 0,
    stubborn: stubborn === 1,
    prepareMs: prepareMs ?? 0,
  };
}
