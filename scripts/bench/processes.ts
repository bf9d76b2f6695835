/** What processes used, by /proc. */
import { readdirSync, readFileSync } from 'node:fs';
import type { LocalAgent, LocalMesh } from '../local-mesh/local-mesh.ts';

const TICKS_PER_SECOND = 100;

/** CPU time, ms. */
export interface Cpu {
  readonly ownMs: number;
  /** Of children that were waited for: tasks end as children of their runner. */
  readonly endedMs: number;
}

interface Usage extends Cpu {
  readonly parent: number;
}

function usageOf(pid: number): Usage | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    const ms = (user: number, system: number): number =>
      ((Number(fields[user]) + Number(fields[system])) * 1000) / TICKS_PER_SECOND;
    return { parent: Number(fields[1]), ownMs: ms(11, 12), endedMs: ms(13, 14) };
  } catch {
    return undefined;
  }
}

/** Of the agents and their runners, and of all tasks these have run so far. */
export async function cpuOf(mesh: LocalMesh): Promise<Cpu> {
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
  const { ownMs, endedMs } = cpuBelow(new Set([agent.process?.pid ?? -1]));
  return ownMs + endedMs;
}

function cpuBelow(roots: ReadonlySet<number>): Cpu {
  const usages = new Map<number, Usage>();
  for (const name of readdirSync('/proc')) {
    const usage = /^\d+$/.test(name) ? usageOf(Number(name)) : undefined;
    if (usage !== undefined) usages.set(Number(name), usage);
  }
  let ownMs = 0;
  let endedMs = 0;
  for (const [pid, usage] of usages) {
    if (!descends(pid, roots, usages)) continue;
    ownMs += usage.ownMs;
    endedMs += usage.endedMs;
  }
  return { ownMs, endedMs };
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

/** CPU of the agent's process alone, ms. */
export function agentCpuMs(agent: LocalAgent): number {
  return usageOf(agent.process?.pid ?? -1)?.ownMs ?? Number.NaN;
}
