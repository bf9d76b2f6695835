/** The rows of a benchmark run: a figure of the program, and the floor that was measured beside it in the same run. */

export interface Row {
  readonly value: number;
  readonly unit: string;
  /** The same work without a mesh, or the bound that the row is held against. */
  readonly floor: number;
  /** value to floor; what counts as good depends on the row. */
  readonly ratio: number;
  readonly note?: string;
}

export type Rows = Record<string, Row>;

export function row(value: number, unit: string, floor: number, note?: string): Row {
  const rounded = (number: number): number => Number(number.toPrecision(4));
  return {
    value: rounded(value),
    unit,
    floor: rounded(floor),
    ratio: rounded(value / floor),
    ...(note === undefined ? {} : { note }),
  };
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function tableOf(rows: Rows): string {
  const lines = [
    ['row', 'value', 'unit', 'floor', 'ratio', 'note'],
    ...Object.entries(rows).map(([name, { value, unit, floor, ratio, note }]) => [
      name,
      String(value),
      unit,
      String(floor),
      String(ratio),
      note ?? '',
    ]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 || column === 2 || column === 5
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
