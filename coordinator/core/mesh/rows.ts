/**
 * The rows of the mesh group: which key holds what. Keys are ASCII and ordered bytewise; ids come in through
 * `idKey`, so that they are unique whatever their case.
 *
 *     a/<node>            allotment            k                   clock and counters
 *     b/<container>/<key> blob                 m/<machine>         member
 *     c/<name>            container            p/<pool>            pool
 *     d/<job>             job directory        q/<sequence>        answered request
 *     g/<group>           group of voters      s                   settings
 *     h/<manifest>        holders of content   t/<token>           join token
 *     j/<schedule>        job schedule         x/<container>       deleted container whose blobs still go
 *     y/<application>     application and its packages
 *
 * Containers are named in keys by a number that is never used again: a container may be made anew under an old name
 * while the blobs of the old one are still being let go.
 */
import { BLOB_KEY_LENGTH_MAX } from '../../../src/lib/limits.ts';
import type { GroupId, MachineId } from '../../../src/model/ids.ts';
import { idKey } from '../../../src/model/ids.ts';

export const COUNTERS_ROW = 'k';
export const SETTINGS_ROW = 's';

export const allotmentRow = (node: string): string => `a/${node}`;
export const containerRow = (name: string): string => `c/${name}`;
export const directoryRow = (job: string): string => `d/${idKey(job)}`;
export const groupRow = (group: GroupId): string => `g/${group}`;
export const manifestRow = (manifest: string): string => `h/${manifest}`;
export const memberRow = (machine: MachineId): string => `m/${machine}`;
export const poolRow = (pool: string): string => `p/${idKey(pool)}`;
export const requestRow = (sequence: number): string => `q/${hex(sequence, 14)}`;
export const scheduleRow = (schedule: string): string => `j/${idKey(schedule)}`;
export const tokenRow = (token: string): string => `t/${token}`;
export const dyingContainerRow = (container: number): string => `x/${hex(container, 8)}`;
export const applicationRow = (application: string): string => `y/${idKey(application)}`;
export const blobRows = (container: number): string => `b/${hex(container, 8)}/`;

/** Of a blob's row: `b/<container>/` and the key within it. */
export function splitBlobRow(row: string): { readonly container: number; readonly key: string } {
  return { container: Number.parseInt(row.slice(2, 10), 16), key: row.slice(11) };
}

/**
 * A blob's name as ASCII; the escape of a prefix is a prefix of the escape, so a listing by prefix is one scan.
 * Undefined where the name is not well-formed text (half a surrogate pair).
 */
export function escapeBlobName(name: string): string | undefined {
  try {
    return encodeURI(name);
  } catch {
    return undefined;
  }
}

/**
 * The key of a name whose escape is too long for the store: its beginning, and a number that tells it from others with
 * the same beginning. `%%` occurs in no escaped name.
 */
export function longBlobKey(escaped: string, number: number): string {
  return `${escaped.slice(0, BLOB_KEY_LENGTH_MAX)}%%${hex(number, 14)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
