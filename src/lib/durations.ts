/**
 * ISO 8601 durations as Azure Batch writes them (`PT15M`, `P7D`), in milliseconds. Years and months are refused:
 * they have no fixed length. Azure's "no limit" is `P10675199DT2H48M5.4775807S`, here `Infinity`.
 */
export const UNLIMITED_DURATION = 'P10675199DT2H48M5.4775807S';

const SHAPE =
  /^P(?:(\d{1,8})W)?(?:(\d{1,8})D)?(T(?:(\d{1,10})H)?(?:(\d{1,10})M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?$/;
const LIMIT_MS = 10_675_199 * 86_400_000;

/** Milliseconds, `Infinity` for "no limit", or undefined where `text` is not a duration. */
export function parseDuration(text: string): number | undefined {
  const match = SHAPE.exec(text);
  if (match === null || text === 'P' || text.endsWith('T')) return undefined;
  const [, weeks, days, time, hours, minutes, seconds] = match;
  if (weeks === undefined && days === undefined && time === undefined) return undefined;
  const total =
    Number(weeks ?? 0) * 604_800_000 +
    Number(days ?? 0) * 86_400_000 +
    Number(hours ?? 0) * 3_600_000 +
    Number(minutes ?? 0) * 60_000 +
    Number(seconds ?? 0) * 1000;
  return total >= LIMIT_MS ? Number.POSITIVE_INFINITY : total;
}

/** The shortest ISO 8601 form of a length in milliseconds. */
export function formatDuration(lengthMs: number): string {
  if (lengthMs === Number.POSITIVE_INFINITY) return UNLIMITED_DURATION;
  const days = Math.floor(lengthMs / 86_400_000);
  const hours = Math.floor(lengthMs / 3_600_000) % 24;
  const minutes = Math.floor(lengthMs / 60_000) % 60;
  const seconds = (lengthMs % 60_000) / 1000;
  const time = `${hours > 0 ? `${hours}H` : ''}${minutes > 0 ? `${minutes}M` : ''}${seconds > 0 ? `${seconds}S` : ''}`;
  if (days === 0 && time === '') return 'PT0S';
  return `P${days > 0 ? `${days}D` : ''}${time === '' ? '' : `T${time}`}`;
}
