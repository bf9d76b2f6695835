/** If-Match and its kin at the gate: a lost race is refused, whoever read first. */

import type { Condition } from '../../../src/model/commands.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { eTagOf } from './turn.ts';

/** HTTP dates have whole seconds: what was modified within a second counts as modified at its start. */
const HTTP_DATE_MS = 1000;

export function checkCondition(
  condition: Condition | undefined,
  version: number,
  modifiedAtMs: number,
): Refusal | undefined {
  if (condition === undefined) return undefined;
  const eTag = eTagOf(version);
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = condition;
  const modifiedMs = Math.floor(modifiedAtMs / HTTP_DATE_MS) * HTTP_DATE_MS;
  const holds =
    (ifMatch === undefined || matches(ifMatch, eTag)) &&
    (ifNoneMatch === undefined || !matches(ifNoneMatch, eTag)) &&
    (ifModifiedSinceMs === undefined || modifiedMs > ifModifiedSinceMs) &&
    (ifUnmodifiedSinceMs === undefined || modifiedMs <= ifUnmodifiedSinceMs);
  return holds ? undefined : refuse('ConditionNotMet', undefined, { CurrentETag: eTag });
}

function matches(wanted: string, eTag: string): boolean {
  return wanted === '*' || wanted.replace(/^"(.*)"$/, '$1').toUpperCase() === eTag.toUpperCase();
}
