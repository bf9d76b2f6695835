const REASON_LENGTH_MAX = 300;

/** What is wrong with a formula, and where. The only error that reading or evaluating one can end with. */
export class FormulaError extends Error {
  override readonly name = 'FormulaError';
  /** Without the place. */
  readonly reason: string;

  /** `offset`: of the first character at fault. A reason may quote the formula, and is kept with the pool: it is cut. */
  constructor(source: string, offset: number, reason: string) {
    const { line, column } = placeOf(source, offset);
    const bounded = reason.length > REASON_LENGTH_MAX ? `${reason.slice(0, REASON_LENGTH_MAX)}…` : reason;
    super(`Line ${line}, Col ${column}: ${bounded}`);
    this.reason = bounded;
  }
}

/** Lines and columns as editors count them: from 1. A line ends with LF, CR LF or CR. */
export function placeOf(source: string, offset: number): { readonly line: number; readonly column: number } {
  const before = source.slice(0, offset).split(/\r\n|\n|\r/);
  return { line: before.length, column: (before[before.length - 1] ?? '').length + 1 };
}
