/** What a changed entity's version is called on the wire. */
import type { CommandResults, EntityStamp, MeshCommand, PoolCommand } from '../model/commands.ts';
import type { Headers } from './route.ts';

/** Commands that answer with the entity's new version and nothing else. */
export type PoolStampCommand = Exclude<PoolCommand, { kind: keyof CommandResults }>;
export type MeshStampCommand = Exclude<MeshCommand, { kind: keyof CommandResults }>;

/** Azure Batch's entity tags are not quoted. */
export function stampHeaders(stamp: EntityStamp): Headers {
  return { etag: stamp.eTag, 'last-modified': new Date(stamp.lastModifiedMs).toUTCString() };
}
