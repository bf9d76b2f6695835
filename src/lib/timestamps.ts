/** Moments as ISO 8601 text in UTC, the way Azure Batch reads and writes them. */

const SHAPE =
  /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:Z|([+-])(\d{2}):(\d{2}))?)?$/i;

/**
 * Milliseconds since the Unix epoch (fractions below a millisecond are cut off), or undefined where `text` is not a
 * moment of the calendar. A text without a zone means UTC. Stricter than `Date.parse`, which reads 31 February as 3 March.
 */
export function parseTimestamp(text: string): number | undefined {
  const match = SHAPE.exec(text);
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  if (hour > 23 || minute > 59 || second > 59 || part(9) > 14 || part(10) > 59) return undefined;
  const milliseconds = Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, milliseconds);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const offsetMinutes = (part(9) * 60 + part(10)) * (match[8] === '-' ? -1 : 1);
  return date.getTime() - offsetMinutes * 60_000;
}

/** What can be written with four digits of a year; many clients read no more. */
const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** With seven digits after the point (`2026-11-21T04:26:00.1230000Z`), as Azure Batch answers; the year 9999 at the latest. */
export function formatTimestamp(timeMs: number): string {
  return `${new Date(Math.min(timeMs, LATEST_MS)).toISOString().slice(0, -1)}0000Z`;
}

/** The same for what may be absent: an absent property and an empty one are not the same to a client. */
export function timestampOf(timeMs: number | undefined): string | undefined {
  return timeMs === undefined ? undefined : formatTimestamp(timeMs);
}
