/** The lease of tasks whose job says that a node goes on with them while it is cut off (`onNodeCutOff: keep`). */

/** Longer than any cut that such a task should survive; renewed with every acknowledgement. */
export const KEPT_LEASE_MS = 24 * 3_600_000;

export function keptLease(pool: string): string {
  return `${pool}#keep`;
}
