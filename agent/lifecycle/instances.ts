/**
 * The instances of a multi-instance task on their nodes. Beside a primary, on its own node, runs a subtask too; they share
 * the task's directory, which that subtask made. Azure Batch's page on multi-instance tasks names the variables.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../src/lib/clock.ts';
import { COORDINATION_POLL_MS } from '../../src/lib/limits.ts';
import type { InstanceHost, StoredTaskSpec } from '../../src/model/node-task.ts';
import type { TaskDirectories } from './directories.ts';

export function isPrimary({ role, gang }: StoredTaskSpec): boolean {
  return gang !== undefined && role === undefined;
}

/**
 * What the command leaves running must be killed with the subtask, by all the ways that a task's processes are; so the
 * shell that ran it stays, as its first process, and says in a file that it succeeded.
 */
export function stayingArgv(
  argv: readonly string[],
  directories: TaskDirectories,
  epoch: number,
): readonly string[] {
  return ['/bin/sh', '-c', STAY, markOf(directories, epoch), ...argv];
}

const STAY = '"$@" || exit; : > "$0" && exec sleep infinity';

function markOf({ task }: TaskDirectories, epoch: number): string {
  return join(task, `.coordinated-${epoch}`);
}

/** True once the command has succeeded; false when the signal is aborted before that. */
export async function coordination(
  directories: TaskDirectories,
  epoch: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  const mark = markOf(directories, epoch);
  while (!signal.aborted) {
    if (existsSync(mark)) return true;
    await new Promise<void>((resolve) => clock.after(COORDINATION_POLL_MS, resolve));
  }
  return false;
}

/** Nothing for a task of one instance. */
export function instanceEnvironment(
  { gang, hosts = [] }: StoredTaskSpec,
  { root }: TaskDirectories,
): Record<string, string> {
  const [master] = hosts;
  if (gang === undefined || master === undefined) return {};
  const addresses = hosts.map(({ address }) => address);
  return {
    AZ_BATCH_TASK_SHARED_DIR: root,
    AZ_BATCH_IS_CURRENT_NODE_MASTER: String(gang.instance === 0),
    AZ_BATCH_MASTER_NODE: `${hostInUrl(master)}:${master.port}`,
    AZ_BATCH_NODE_LIST: addresses.join(';'),
    AZ_BATCH_HOST_LIST: addresses.join(','),
    CCP_NODES: [hosts.length, ...hosts.flatMap(({ address, cores }) => [address, cores])].join(' '),
  };
}

function hostInUrl({ address }: InstanceHost): string {
  return address.includes(':') ? `[${address}]` : address;
}
