/** A progress line: what it says is computed here without clock or terminal, and drawn by `ProgressLine`. */
import type { Writable } from 'node:stream';
import stringWidth from 'string-width';
import { PROGRESS_DRAW_MS } from '../lib/limits.ts';
import { age, bytes } from './cells.ts';
import { cutTo } from './table.ts';

/** How fast something goes, over about the last `WINDOW_MS`: a rate from the start would hide a stall. */
export class RateMeter {
  #points: { readonly timeMs: number; readonly count: number }[] = [];

  note(timeMs: number, count: number): void {
    this.#points.push({ timeMs, count });
    const oldest = this.#points.findIndex((point) => timeMs - point.timeMs <= WINDOW_MS);
    // One point from before the window stays, so that a slow job still has two to compare.
    if (oldest > 1) this.#points = this.#points.slice(oldest - 1);
  }

  /** Per second; undefined until there are two points apart in time. */
  perSecond(): number | undefined {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined || last.timeMs <= first.timeMs) return undefined;
    return ((last.count - first.count) * 1000) / (last.timeMs - first.timeMs);
  }
}

const WINDOW_MS = 10_000;

export interface TaskProgress {
  readonly label: string;
  readonly succeeded: number;
  readonly failed: number;
  readonly running: number;
  readonly total: number;
  readonly perSecond: number | undefined;
}

/** `nightly [#####-----]  50/100  2 failed  8 running  12.5/s  4s left`, in at most `columns`. */
export function renderTaskProgress(progress: TaskProgress, columns: number): string {
  const { succeeded, failed, running, total, perSecond } = progress;
  const done = succeeded + failed;
  const parts = [
    `${done}/${total}`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(running > 0 ? [`${running} running`] : []),
    ...(perSecond === undefined || perSecond <= 0 ? [] : [`${rateText(perSecond)}/s`]),
    ...remaining(total - done, perSecond),
  ];
  return assemble(progress.label, total === 0 ? 0 : done / total, parts, columns);
}

export interface ByteProgress {
  readonly label: string;
  readonly done: number;
  /** Undefined where the length is not known. */
  readonly total: number | undefined;
  readonly perSecond: number | undefined;
}

/** `model.bin [###-------]  30 MiB of 100 MiB  12 MiB/s  6s left`. */
export function renderByteProgress(progress: ByteProgress, columns: number): string {
  const { done, total, perSecond } = progress;
  const parts = [
    total === undefined ? `${bytes(done)}` : `${bytes(done)} of ${bytes(total)}`,
    ...(perSecond === undefined ? [] : [`${bytes(perSecond)}/s`]),
    ...(total === undefined ? [] : remaining(total - done, perSecond)),
  ];
  const share = total === undefined ? undefined : total === 0 ? 1 : done / total;
  return assemble(progress.label, share, parts, columns);
}

function rateText(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : String(Math.round(perSecond));
}

function remaining(left: number, perSecond: number | undefined): readonly string[] {
  if (left <= 0 || perSecond === undefined || perSecond <= 0) return [];
  return [`${age((left / perSecond) * 1000)} left`];
}

const BAR_COLUMNS_MAX = 30;
const BAR_COLUMNS_MIN = 5;

/** The bar takes what the words leave; on a narrow terminal it goes first. */
function assemble(
  label: string,
  share: number | undefined,
  parts: readonly string[],
  columns: number,
): string {
  const words = parts.join('  ');
  const rest = columns - 1 - stringWidth(label) - stringWidth(words) - 5;
  const size = Math.min(BAR_COLUMNS_MAX, rest);
  const line =
    share === undefined || size < BAR_COLUMNS_MIN
      ? `${label}  ${words}`
      : `${label} [${bar(share, size)}]  ${words}`;
  return stringWidth(line) < columns ? line : cutTo(line, columns - 1);
}

function bar(share: number, size: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * size);
  return '#'.repeat(filled) + '-'.repeat(size - filled);
}

const CLEAR_LINE = '\r\u001b[K';

/** One line at the bottom of a terminal that is redrawn in place; on anything else it writes nothing. */
export class ProgressLine {
  readonly #stream: Writable;
  readonly #shown: boolean;
  #drawn = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(stream: Writable, shown: boolean) {
    this.#stream = stream;
    this.#shown = shown;
  }

  /** Draws what `render` gives, unless the last drawing is less than `PROGRESS_DRAW_MS` old. */
  draw(render: () => string): void {
    const nowMs = performance.now();
    if (!this.#shown || nowMs - this.#lastMs < PROGRESS_DRAW_MS) return;
    this.#lastMs = nowMs;
    this.#drawn = true;
    this.#stream.write(CLEAR_LINE + render());
  }

  /** Takes the line away, before other text is written and at the end. The next drawing comes at once. */
  clear(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    this.#lastMs = Number.NEGATIVE_INFINITY;
    this.#stream.write(CLEAR_LINE);
  }
}
