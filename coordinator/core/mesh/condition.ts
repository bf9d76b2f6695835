/** If-Match and its kin, as Azure Batch reads them on writes. */

import type { Condition, EntityStamp } from '../../../src/model/commands.ts';
import { type Refusal, refuse } from '../refusal.ts';

/** Undefined where the condition holds, or there is none. */
export function checkCondition(stamp: EntityStamp, condition: Condition | undefined): Refusal | undefined {
  if (condition === undefined || holds(stamp, condition)) return undefined;
  return refuse('ConditionNotMet');
}

function holds(stamp: EntityStamp, condition: Condition): boolean {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = condition;
  // HTTP dates have no fractions of a second: the entity's own must be cut as the client's were.
  const modifiedMs = Math.floor(stamp.lastModifiedMs / 1000) * 1000;
  if (ifMatch !== undefined && !names(ifMatch, stamp.eTag)) return false;
  if (ifNoneMatch !== undefined && names(ifNoneMatch, stamp.eTag)) return false;
  if (ifModifiedSinceMs !== undefined && modifiedMs <= ifModifiedSinceMs) return false;
  return ifUnmodifiedSinceMs === undefined || modifiedMs <= ifUnmodifiedSinceMs;
}

/** Clients send back the unquoted ETag of the service as they got it, or in the quotes that HTTP wants. */
function names(asked: string, eTag: string): boolean {
  return asked === '*' || asked.replace(/^"(.*)"$/, '$1') === eTag;
}
