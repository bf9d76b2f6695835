/** Values as the cells of a table. */
import type { Tone } from './table.ts';

/** A length of time to two units: `3d 4h`, `12m 5s`, `0.4s`. A negative one has its sign left out. */
export function age(lengthMs: number): string {
  const ms = Math.abs(lengthMs);
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.floor(ms / 1000);
  const units: readonly (readonly [number, string])[] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
    [1, 's'],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  const parts = units.slice(first, first + 2).map(([size, name], index) => {
    const whole = Math.floor((index === 0 ? seconds : seconds % (units[first]?.[0] ?? 1)) / size);
    return whole > 0 ? `${whole}${name}` : '';
  });
  return parts.filter((part) => part !== '').join(' ');
}

/** How long ago an ISO 8601 time or a count of milliseconds was. */
export function ago(time: string | number | undefined, nowMs: number): string | undefined {
  if (time === undefined) return undefined;
  const at = typeof time === 'number' ? time : Date.parse(time);
  return Number.isFinite(at) ? age(Math.max(0, nowMs - at)) : undefined;
}

/** From one time to another, or to now where the second is missing. */
export function between(
  start: string | undefined,
  end: string | undefined,
  nowMs: number,
): string | undefined {
  if (start === undefined) return undefined;
  const length = (end === undefined ? nowMs : Date.parse(end)) - Date.parse(start);
  return Number.isFinite(length) ? age(Math.max(0, length)) : undefined;
}

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `0 B`, `1.5 KiB`, `12 GiB`. */
export function bytes(count: number | undefined): string | undefined {
  if (count === undefined || !Number.isFinite(count)) return undefined;
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** The colour of a state or result of any entity. */
export function toneOf(state: string | undefined): Tone | undefined {
  switch (state) {
    case 'success':
    case 'steady':
    case 'idle':
    case 'fits':
      return 'good';
    case 'failure':
    case 'unusable':
    case 'unknown':
    case 'starttaskfailed':
    case 'refused':
      return 'bad';
    case 'deleting':
    case 'terminating':
    case 'disabling':
    case 'disabled':
    case 'draining':
    case 'resizing':
    case 'offline':
    case 'preempted':
    case 'leavingpool':
      return 'waiting';
    default:
      return undefined;
  }
}
