/** What an agent costs that does nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { cpuWithChildrenMs, residentMiB } from './processes.ts';
import { type Rows, row } from './report.ts';

/** From the moment at which the mesh has formed: what an agent still compiles of its start counts. */
export async function idle(mesh: LocalMesh, forMs: number): Promise<Rows> {
  const before = mesh.agents.map(cpuWithChildrenMs);
  await sleep(forMs);
  const shares = mesh.agents.map(
    (agent, number) => ((cpuWithChildrenMs(agent) - (before[number] ?? 0)) / forMs) * 100,
  );
  return {
    'idle, CPU': row(
      Math.max(...shares),
      '% of a core',
      2,
      'the busiest of the agents, with its runner; floor: the bound',
    ),
    'idle, memory': row(
      Math.max(...mesh.agents.map(residentMiB)),
      'MiB',
      150,
      'the largest of the agents; floor: the bound',
    ),
  };
}
