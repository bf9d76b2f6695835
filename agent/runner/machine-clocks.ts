/** Clocks that all processes of the machine share, in milliseconds. Unlike `performance.now()`, they count from the boot. */
import { openSync, readSync } from 'node:fs';

/** CLOCK_MONOTONIC. Stands still while the machine is suspended, so it bounds what a task was given to run, not its lease. */
export function machineMonotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * CLOCK_BOOTTIME, which goes on while the machine is suspended: what leases count by, for the coordinator gives the work
 * away meanwhile. One time for the agent and its runner, so the one can hand the other an absolute deadline, and neither
 * being stopped nor being suspended between the two prolongs it. Node does not offer this clock: it is the first field of
 * /proc/uptime, which steps by 10 ms and costs a read of 4 µs through one descriptor that is kept open.
 */
export function openBootClock(): () => number {
  const fd = openSync('/proc/uptime', 'r');
  const text = Buffer.alloc(64);
  return () => {
    const length = readSync(fd, text, 0, text.length, 0);
    return Number.parseFloat(text.toString('latin1', 0, length)) * 1000;
  };
}
