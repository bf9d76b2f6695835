/** Readers of flag values. Each says what is wrong with the value and what a right one looks like. */
import { InvalidArgumentError } from 'commander';
import { formatDuration, parseDuration } from '../lib/durations.ts';
import { isValidVersion } from '../model/application.ts';
import type { ApplicationPackageReference } from '../model/application-schema.ts';
import { isValidId } from '../model/ids.ts';

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`It must be a whole number ${range}.`);
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90`, `90s`, `1.5h`, `7d` or ISO 8601 (`PT15M`); a bare number is seconds. */
export function durationMs(text: string): number {
  const short = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text);
  const lengthMs =
    short === null
      ? parseDuration(text)
      : Math.round(Number(short[1]) * (UNIT_MS[short[2] ?? 's'] ?? Number.NaN));
  if (lengthMs !== undefined && lengthMs > 0) return lengthMs;
  throw new InvalidArgumentError('It must be a time above zero such as 90s, 15m, 2h, 7d or PT15M.');
}

/** The same as ISO 8601 text, as the API takes it. */
export function duration(text: string): string {
  return formatDuration(durationMs(text));
}

export interface Setting {
  readonly name: string;
  readonly value: string;
}

/** Collects `NAME=VALUE` flags; the value may be empty and may hold further `=`. */
export function settings(text: string, previous: readonly Setting[] = []): readonly Setting[] {
  const equals = text.indexOf('=');
  if (equals < 1 || text.includes('\0')) throw new InvalidArgumentError('It must have the form NAME=VALUE.');
  return [...previous, { name: text.slice(0, equals), value: text.slice(equals + 1) }];
}

/** Collects a flag that may be given several times. */
export function collect(text: string, previous: readonly string[] = []): readonly string[] {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  return [...previous, text];
}

/** An id of Azure Batch. */
export function id(text: string): string {
  if (isValidId(text)) return text;
  throw new InvalidArgumentError('An id is 1 to 64 letters, digits, dashes and underscores.');
}

/** Collects `APP` or `APP:VERSION`. */
export function packages(
  text: string,
  previous: readonly ApplicationPackageReference[] = [],
): readonly ApplicationPackageReference[] {
  const [applicationId = '', version, ...more] = text.split(':');
  if (isValidId(applicationId) && more.length === 0 && (version === undefined || isValidVersion(version)))
    return [...previous, { applicationId, ...(version === undefined ? {} : { version }) }];
  throw new InvalidArgumentError('It must be APP or APP:VERSION, as `shoal app list` has them.');
}

export function nonEmpty(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It must not be empty.');
}

/** A path inside a task's directory, as `task files` lists them. */
export function insidePath(text: string): string {
  const parts = nonEmpty(text).split('/');
  if (!parts.some((part) => part === '' || part === '.' || part === '..')) return text;
  throw new InvalidArgumentError('It must be a path below the task\'s directory, without "." or "..".');
}
