/**
 * CLOCK_MONOTONIC in milliseconds: one time for all processes of the machine, because Linux counts it from
 * boot (unlike `performance.now()`, which counts from the start of its process). So an agent can hand its
 * runner an absolute deadline, and being stopped between the two does not prolong it. Stands still during a
 * suspend.
 */
export function machineMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
