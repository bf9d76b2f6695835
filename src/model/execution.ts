/** One execution of a task, and the digest by which a node and its coordinator compare what runs. */

export interface ExecutionId {
  /** The job's number in its pool's group. */
  readonly job: number;
  /** The task's number in its job. */
  readonly task: number;
  /** Log index of the entry that assigned it. */
  readonly epoch: number;
}

/**
 * Order-free digest of a set of executions: the sum of mixed ids modulo 2^32, so that both sides can keep it up to
 * date by adding and subtracting. Equal sets have equal digests; different ones collide once in four thousand million.
 */
export function executionDigest(id: ExecutionId): number {
  let mixed = Math.imul(id.job + 0x9e3779b9, 0x85ebca6b) ^ Math.imul(id.task + 0x165667b1, 0xc2b2ae35);
  mixed ^= Math.imul((id.epoch >>> 0) + 0x27d4eb2f, 0x9e3779b1) ^ Math.floor(id.epoch / 4294967296);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

export function addDigest(sum: number, one: number): number {
  return (sum + one) >>> 0;
}

export function removeDigest(sum: number, one: number): number {
  return (sum - one) >>> 0;
}

export function executionKey(id: ExecutionId): string {
  return `${id.job}/${id.task}/${id.epoch}`;
}
