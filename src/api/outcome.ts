/** From a command's answer to a value or an exception. */
import { ShoalError } from '../lib/errors.ts';
import type { CommandResults, EntityStamp, MeshCommand, Outcome, PoolCommand } from '../model/commands.ts';
import type { Headers } from './route.ts';

/** Commands that answer with the entity's new version and nothing else. */
export type PoolStampCommand = Exclude<PoolCommand, { kind: keyof CommandResults }>;
export type MeshStampCommand = Exclude<MeshCommand, { kind: keyof CommandResults }>;

/** The value; throws the coded refusal. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw refusal(outcome);
}

export function refusal(outcome: Outcome<unknown> & { readonly ok: false }): ShoalError {
  return new ShoalError(outcome.code, outcome.message, outcome.values);
}

/** Azure Batch's entity tags are not quoted. */
export function stampHeaders(stamp: EntityStamp): Headers {
  return { etag: stamp.eTag, 'last-modified': new Date(stamp.lastModifiedMs).toUTCString() };
}
