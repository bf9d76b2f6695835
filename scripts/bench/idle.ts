/** What an agent costs that does nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LocalMesh } from '../local-mesh/local-mesh.ts';
import { agentCpuMs, residentMiB } from './processes.ts';
import { type Rows, row } from './report.ts';

const WARM_UP_MS = 30_000;

export async function idle(mesh: LocalMesh, forMs: number): Promise<Rows> {
  // A process compiles what it uses often in its first half minute; an idle agent is one that has been up for longer.
  await sleep(WARM_UP_MS);
  const before = mesh.agents.map(agentCpuMs);
  await sleep(forMs);
  const shares = mesh.agents.map(
    (agent, number) => ((agentCpuMs(agent) - (before[number] ?? 0)) / forMs) * 100,
  );
  return {
    'idle, CPU': row(Math.max(...shares), '% of a core', 2, 'the busiest of the agents; floor: the bound'),
    'idle, memory': row(
      Math.max(...mesh.agents.map(residentMiB)),
      'MiB',
      150,
      'the largest of the agents; floor: the bound',
    ),
  };
}
