/** What this machine offers, as far as the system tells. */
import { readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, release, type as systemName, totalmem } from 'node:os';
import { CONTAINER_LABEL } from '../../src/model/container.ts';
import type { Capacity } from '../../src/model/machine.ts';
import type { IsolationTier } from '../runner/interface.ts';
import type { Config } from './config.ts';

export async function probeCapacity(
  config: Config,
  dataDirectory: string,
  isolation: IsolationTier,
  containerEngine: string | undefined,
): Promise<Capacity> {
  const disk = await statfs(dataDirectory);
  const { cores, memoryBytes, gpus, labels } = config.capacity;
  return {
    cores: cores ?? availableParallelism(),
    memoryBytes: memoryBytes ?? memoryLimit(),
    diskBytes: disk.bavail * disk.bsize,
    gpus: gpus ?? countGpus(),
    labels:
      containerEngine === undefined ? (labels ?? []) : [...new Set([...(labels ?? []), CONTAINER_LABEL])],
    isolation,
    operatingSystem: `${systemName()} ${release()}`,
    ...(containerEngine !== undefined && { containerEngine }),
  };
}

/** A container's own limit where it is lower than the host's memory. */
function memoryLimit(): number {
  const total = totalmem();
  try {
    const limit = Number(readFileSync('/sys/fs/cgroup/memory.max', 'utf8'));
    return Number.isFinite(limit) && limit > 0 ? Math.min(limit, total) : total;
  } catch {
    return total;
  }
}

/** NVIDIA's device files; other vendors' cards are offered by `capacity.gpus` in the configuration. */
function countGpus(): number {
  try {
    return readdirSync('/dev').filter((name) => /^nvidia\d+$/.test(name)).length;
  } catch {
    return 0;
  }
}
