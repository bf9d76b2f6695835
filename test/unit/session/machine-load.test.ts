import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LoadMeter } from '../../../agent/session/machine-load.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { MACHINE_LOADS, type MachineLoad } from '../../../src/model/machine-load.ts';

let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'shoal-load-'));
  await mkdir(join(proc, 'net'));
});
afterEach(() => rm(proc, { recursive: true, force: true }));

/** What the kernel would say at some time: `busy` and `idle` ticks, and everything else times `traffic`. */
async function kernel(busy: number, idle: number, traffic: number): Promise<void> {
  await writeFile(join(proc, 'stat'), `cpu  ${busy} 0 0 ${idle} 0 0 0 0 99 99\ncpu0 1 1 1 1\nintr 5\n`);
  await writeFile(
    join(proc, 'meminfo'),
    'MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n',
  );
  const disk = (name: string): string =>
    `   8       0 ${name} ${traffic} 7 ${2 * traffic} 7 ${3 * traffic} 7 ${4 * traffic} 7 0 7 7`;
  await writeFile(
    join(proc, 'diskstats'),
    ['sda', 'sda1', 'nvme0n1', 'nvme0n1p1', 'loop0', 'dm-0'].map(disk).join('\n'),
  );
  const card = (name: string): string =>
    ` ${name}: ${5 * traffic} 1 1 1 1 1 1 1 ${6 * traffic} 1 1 1 1 1 1 1`;
  await writeFile(
    join(proc, 'net/dev'),
    ['Inter-| Receive', ' face |bytes', card('lo'), card('eth0'), card('wlan0')].join('\n'),
  );
}

function named(load: MachineLoad | undefined): Record<string, number | undefined> {
  return Object.fromEntries(MACHINE_LOADS.map((name, place) => [name, load?.values[place]]));
}

test('a machine tells what it used and moved since the reading before, whole disks and no loopback', async () => {
  const meter = new LoadMeter({ clock: systemClock, directory: proc, proc });
  await kernel(100, 100, 1_000);
  expect(await meter.read(1)).toBeUndefined();
  await kernel(130, 170, 1_100);
  const load = await meter.read(2);
  expect(load?.sequence).toBe(2);
  expect(named(load)).toMatchObject({
    cpuPercent: 30,
    memoryBytes: 600 * 1024,
    diskReadOps: 200,
    diskReadBytes: 400 * 512,
    diskWriteOps: 600,
    diskWriteBytes: 800 * 512,
    networkInBytes: 1_000,
    networkOutBytes: 1_200,
  });
  expect(named(load).diskBytes).toBeGreaterThan(0);
});

test('a reading goes with three heartbeats, then with none', async () => {
  const meter = new LoadMeter({ clock: { ...systemClock, wallMs: () => 0 }, directory: proc, proc });
  await kernel(1, 1, 1);
  meter.next();
  await meter.read(1);
  await kernel(2, 2, 2);
  await meter.read(2);
  const told = Array.from({ length: 5 }, () => meter.next()?.sequence);
  expect(told.filter((sequence) => sequence !== undefined).length).toBe(3);
});

test('what is read here and now is no nonsense', async () => {
  const meter = new LoadMeter({ clock: systemClock, directory: proc, proc: '/proc' });
  await meter.read(1);
  const { cpuPercent = -1, memoryBytes = -1 } = named(await meter.read(2));
  expect(cpuPercent).toBeGreaterThanOrEqual(0);
  expect(cpuPercent).toBeLessThanOrEqual(100);
  expect(memoryBytes).toBeGreaterThan(0);
});
