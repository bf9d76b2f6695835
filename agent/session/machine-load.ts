/** How busy this machine is: read from /proc twice a minute, and told with the heartbeats that follow. */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../src/lib/clock.ts';
import { AUTOSCALE_SAMPLE_PERIOD_MS, LOAD_REPORTS } from '../../src/lib/limits.ts';
import { MACHINE_LOADS, type MachineLoad, type MachineLoadName } from '../../src/model/machine-load.ts';

export interface LoadMeterOptions {
  readonly clock: Clock;
  /** On the disk whose use is told. */
  readonly directory: string;
  /** `/proc`. */
  readonly proc: string;
}

export class LoadMeter {
  readonly #options: LoadMeterOptions;
  #moment: number | undefined;
  #counters: Counters | undefined;
  #load: MachineLoad | undefined;
  #reportsLeft = 0;

  constructor(options: LoadMeterOptions) {
    this.#options = options;
  }

  /** To be called for each heartbeat. Each reading is told a few times, for a message may be lost; in between there is none. */
  next(): MachineLoad | undefined {
    const moment = Math.floor(this.#options.clock.wallMs() / AUTOSCALE_SAMPLE_PERIOD_MS);
    if (moment !== this.#moment) {
      this.#moment = moment;
      // What cannot be read is not told: the pool then has fewer samples.
      this.read(moment).catch(() => undefined);
    }
    if (this.#reportsLeft === 0) return undefined;
    this.#reportsLeft -= 1;
    return this.#load;
  }

  /** The first reading tells nothing: counters need one before. */
  async read(sequence: number): Promise<MachineLoad | undefined> {
    const { proc, directory } = this.#options;
    const [stat, meminfo, diskstats, network] = await Promise.all(
      ['stat', 'meminfo', 'diskstats', 'net/dev'].map((name) => readFile(join(proc, name), 'latin1')),
    );
    const disk = await statfs(directory);
    const counters = {
      ...processorTime(stat ?? ''),
      ...diskTraffic(diskstats ?? ''),
      ...networkTraffic(network ?? ''),
    };
    const before = this.#counters;
    this.#counters = counters;
    if (before === undefined) return undefined;
    const since = (name: keyof Counters): number => Math.max(0, counters[name] - before[name]);
    const loads: Record<MachineLoadName, number> = {
      cpuPercent: (100 * since('busy')) / Math.max(1, since('total')),
      memoryBytes: memoryInUse(meminfo ?? ''),
      diskBytes: (disk.blocks - disk.bfree) * disk.bsize,
      diskReadBytes: since('diskReadBytes'),
      diskWriteBytes: since('diskWriteBytes'),
      diskReadOps: since('diskReadOps'),
      diskWriteOps: since('diskWriteOps'),
      networkInBytes: since('networkInBytes'),
      networkOutBytes: since('networkOutBytes'),
    };
    this.#load = { sequence, values: MACHINE_LOADS.map((name) => loads[name]) };
    this.#reportsLeft = LOAD_REPORTS;
    return this.#load;
  }
}

/** Since the machine started. */
interface Counters {
  /** Clock ticks of all cores. */
  readonly busy: number;
  readonly total: number;
  readonly diskReadBytes: number;
  readonly diskWriteBytes: number;
  readonly diskReadOps: number;
  readonly diskWriteOps: number;
  readonly networkInBytes: number;
  readonly networkOutBytes: number;
}

/** `cpu user nice system idle iowait irq softirq steal …` (proc(5)); guests are in user and nice already. */
function processorTime(stat: string): Pick<Counters, 'busy' | 'total'> {
  const ticks = numbersOf(/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').slice(0, 8);
  const total = ticks.reduce((sum, part) => sum + part, 0);
  return { total, busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0) };
}

function memoryInUse(meminfo: string): number {
  const kibibytes = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
  return 1024 * (kibibytes('MemTotal') - kibibytes('MemAvailable'));
}

const SECTOR_BYTES = 512;
/** Whole disks: their partitions, and what is made of them, would count the same bytes twice. */
const DISK = /^(?:[shv]d[a-z]+|xvd[a-z]+|nvme\d+n\d+|mmcblk\d+)$/;

/** `major minor name reads merged sectors ms writes merged sectors …` (Documentation/admin-guide/iostats.rst of Linux). */
function diskTraffic(
  diskstats: string,
): Pick<Counters, 'diskReadBytes' | 'diskWriteBytes' | 'diskReadOps' | 'diskWriteOps'> {
  const sums = { diskReadBytes: 0, diskWriteBytes: 0, diskReadOps: 0, diskWriteOps: 0 };
  for (const line of diskstats.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (!DISK.test(words[2] ?? '')) continue;
    const [reads = 0, , readSectors = 0, , writes = 0, , writtenSectors = 0] = words.slice(3).map(Number);
    sums.diskReadOps += reads;
    sums.diskReadBytes += readSectors * SECTOR_BYTES;
    sums.diskWriteOps += writes;
    sums.diskWriteBytes += writtenSectors * SECTOR_BYTES;
  }
  return sums;
}

/** Eight columns received and eight sent, of which the first are bytes; the machine's talk with itself does not count. */
function networkTraffic(dev: string): Pick<Counters, 'networkInBytes' | 'networkOutBytes'> {
  const sums = { networkInBytes: 0, networkOutBytes: 0 };
  for (const line of dev.split('\n')) {
    const match = /^\s*([^:\s]+):\s*(.*)$/.exec(line);
    if (match === null || match[1] === 'lo') continue;
    const columns = numbersOf(match[2] ?? '');
    sums.networkInBytes += columns[0] ?? 0;
    sums.networkOutBytes += columns[8] ?? 0;
  }
  return sums;
}

function numbersOf(text: string): number[] {
  return text.trim().split(/\s+/).map(Number);
}
