/** The values of the formula language. Every number in them is finite. */
import { AUTOSCALE_PRINTED_ITEMS_MAX } from '../../src/lib/limits.ts';

export type Value =
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'doubleVec'; readonly values: readonly number[] }
  | { readonly kind: 'string'; readonly text: string }
  /** Milliseconds since the Unix epoch, in UTC. */
  | { readonly kind: 'timestamp'; readonly ms: number }
  | { readonly kind: 'timeinterval'; readonly ms: number }
  /** A sampled variable that nobody took a number of yet. */
  | { readonly kind: 'samples'; readonly variable: string };

/** Ends the evaluation: the reason is told with the place of what is evaluated. */
export type Fail = (reason: string) => never;

/** What `Date` can hold, either way from 1970. */
const TIMESTAMP_MS_MAX = 8.64e15;

export function double(value: number, fail: Fail): Value {
  if (!Number.isFinite(value)) fail('The result is not a finite number');
  return { kind: 'double', value };
}

export function truth(value: boolean): Value {
  return { kind: 'double', value: value ? 1 : 0 };
}

export function doubleVec(values: readonly number[], fail: Fail): Value {
  if (!values.every(Number.isFinite)) fail('An element of the result is not a finite number');
  return { kind: 'doubleVec', values };
}

export function timestamp(ms: number, fail: Fail): Value {
  if (!(Math.abs(ms) <= TIMESTAMP_MS_MAX)) fail('The result is not a moment of the calendar');
  return { kind: 'timestamp', ms };
}

export function timeinterval(ms: number, fail: Fail): Value {
  if (!(Math.abs(ms) <= 2 * TIMESTAMP_MS_MAX)) fail('The result is too long for a time interval');
  return { kind: 'timeinterval', ms };
}

/** As results say it: times in ISO 8601, truth as 1 or 0, of a long vector the first elements. */
export function printed(value: Value): string {
  switch (value.kind) {
    case 'double':
      return String(value.value);
    case 'doubleVec': {
      const shown = value.values.slice(0, AUTOSCALE_PRINTED_ITEMS_MAX).join(',');
      return value.values.length > AUTOSCALE_PRINTED_ITEMS_MAX ? `[${shown},…]` : `[${shown}]`;
    }
    case 'string':
      return JSON.stringify(value.text);
    case 'timestamp':
      return new Date(value.ms).toISOString();
    case 'timeinterval':
      return interval(value.ms);
    case 'samples':
      return value.variable;
  }
}

function interval(lengthMs: number): string {
  const whole = Math.abs(lengthMs);
  const days = Math.floor(whole / 86_400_000);
  const hours = Math.floor(whole / 3_600_000) % 24;
  const minutes = Math.floor(whole / 60_000) % 60;
  const seconds = Number(((whole % 60_000) / 1000).toFixed(7));
  const time = `${hours > 0 ? `${hours}H` : ''}${minutes > 0 ? `${minutes}M` : ''}${seconds > 0 ? `${seconds}S` : ''}`;
  if (days === 0 && time === '') return 'PT0S';
  return `${lengthMs < 0 ? '-' : ''}P${days > 0 ? `${days}D` : ''}${time === '' ? '' : `T${time}`}`;
}
