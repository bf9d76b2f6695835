/** What processes used, by /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import type { LocalAgent, LocalMesh } from '../local-mesh/local-mesh.ts';

const TICKS_PER_SECOND = 100;

interface Usage {
  readonly parent: number;
  readonly cpuMs: number;
}

function usageOf(pid: number): Usage | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    // Own time and that of children which were waited for: tasks end as children of their runner.
    const ticks = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0);
    return { parent: Number(fields[1]), cpuMs: (ticks * 1000) / TICKS_PER_SECOND };
  } catch {
    return undefined;
  }
}

/** CPU of the agents, their runners and all tasks these have run so far, ms. */
export async function cpuOf(mesh: LocalMesh): Promise<number> {
  const roots = new Set<number>();
  for (const agent of mesh.agents) {
    if (agent.process?.pid !== undefined) roots.add(agent.process.pid);
    const status = await mesh.status(agent);
    if (status !== undefined) roots.add(status.runner.pid);
  }
  return cpuBelow(roots);
}

/** CPU of the agent, its runner and whatever else it has started, ms. */
export function cpuWithChildrenMs(agent: LocalAgent): number {
  return cpuBelow(new Set([agent.process?.pid ?? -1]));
}

function cpuBelow(roots: ReadonlySet<number>): number {
  const usages = new Map<number, Usage>();
  for (const name of readdirSync('/proc')) {
    const usage = /^\d+$/.test(name) ? usageOf(Number(name)) : undefined;
    if (usage !== undefined) usages.set(Number(name), usage);
  }
  let sum = 0;
  for (const [pid, usage] of usages) if (descends(pid, roots, usages)) sum += usage.cpuMs;
  return sum;
}

function descends(pid: number, roots: ReadonlySet<number>, usages: ReadonlyMap<number, Usage>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1; at = usages.get(at)?.parent)
    if (roots.has(at)) return true;
  return false;
}

/** Resident memory of the agent's process, MiB. */
export function residentMiB(agent: LocalAgent): number {
  const status = readFileSync(`/proc/${agent.process?.pid}/status`, 'latin1');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

/** Highest resident memory of the agent's process since it started, MiB. */
export function peakMiB(agent: LocalAgent): number {
  const status = readFileSync(`/proc/${agent.process?.pid}/status`, 'latin1');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

export function agentCpuMs(agent: LocalAgent): number {
  return usageOf(agent.process?.pid ?? -1)?.cpuMs ?? Number.NaN;
}
