/** If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since: at most one of them, as Azure Batch has it. */
import type { IncomingHttpHeaders } from 'node:http';
import { ShoalError } from '../lib/errors.ts';
import type { Condition, EntityStamp } from '../model/commands.ts';

const NAMES = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'] as const;

/** For a command. Throws `MultipleConditionHeadersNotSupported` or `InvalidHeaderValue`. */
export function readCondition(headers: IncomingHttpHeaders): { readonly condition?: Condition } {
  const given = NAMES.filter((name) => headers[name] !== undefined);
  if (given.length > 1) throw new ShoalError('MultipleConditionHeadersNotSupported');
  const name = given[0];
  const value = name === undefined ? undefined : headers[name];
  if (name === undefined || value === undefined) return {};
  switch (name) {
    case 'if-match':
      return { condition: { ifMatch: tagOf(value) } };
    case 'if-none-match':
      return { condition: { ifNoneMatch: tagOf(value) } };
    case 'if-modified-since':
      return { condition: { ifModifiedSinceMs: dateOf(name, value) } };
    case 'if-unmodified-since':
      return { condition: { ifUnmodifiedSinceMs: dateOf(name, value) } };
  }
}

/** Clients send the tag back as we gave it, or quoted as HTTP wants it. */
function tagOf(value: string): string {
  return value.trim().replace(/^(?:W\/)?"(.*)"$/, '$1');
}

function dateOf(name: string, value: string): number {
  const time = Date.parse(value);
  if (Number.isNaN(time))
    throw new ShoalError('InvalidHeaderValue', undefined, {
      HeaderName: name,
      HeaderValue: value.slice(0, 64),
    });
  return time;
}

/**
 * For a read. True: answer 304, the client has this version already. Throws `ConditionNotMet` (412) where the
 * client wanted another version. Dates in headers count whole seconds.
 */
export function isNotModified(headers: IncomingHttpHeaders, stamp: EntityStamp): boolean {
  const { condition } = readCondition(headers);
  if (condition === undefined) return false;
  const matches = (tag: string): boolean => tag === '*' || tag === stamp.eTag;
  const modified = Math.floor(stamp.lastModifiedMs / 1000) * 1000;
  if (condition.ifNoneMatch !== undefined) return matches(condition.ifNoneMatch);
  if (condition.ifModifiedSinceMs !== undefined) return modified <= condition.ifModifiedSinceMs;
  const unmet =
    (condition.ifMatch !== undefined && !matches(condition.ifMatch)) ||
    (condition.ifUnmodifiedSinceMs !== undefined && modified > condition.ifUnmodifiedSinceMs);
  if (unmet) throw new ShoalError('ConditionNotMet');
  return false;
}
