import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import { type PackageCoordinator, Packages } from '../../../agent/lifecycle/packages.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { PACKAGE_DISK_SHARE, PACKAGE_UNPACKED_BYTES_MAX } from '../../../src/lib/limits.ts';
import { silentLog } from '../../../src/lib/log.ts';
import type { ApplicationRecord } from '../../../src/model/application.ts';
import type { ApplicationPackageReference } from '../../../src/model/application-schema.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import { temporaryDirectory } from '../files/temporary-directory.ts';
import { PROGRAM, type ZipEntry, zipOf } from '../files/zip-file.ts';

const NODE = 'tvm-00000001';
const never = (): AbortSignal => new AbortController().signal;

/** A mesh of one application, with contents in memory. */
class World {
  readonly contents = new Map<string, Buffer>();
  applications: ApplicationRecord[] = [];
  references: ApplicationPackageReference[] = [];
  allotted: string[] = [NODE];
  /** What this machine has heard of `applications`. */
  heard: readonly ApplicationRecord[] = [];
  leads = true;
  fetches = 0;
  boot = '1';
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  put(id: string, version: string, entries: readonly ZipEntry[] | Buffer, isDefault = false): void {
    const bytes = Buffer.isBuffer(entries) ? entries : zipOf(entries);
    const manifest = createHash('sha256').update(bytes).digest('hex');
    this.contents.set(manifest, bytes);
    const known = this.applications.find((one) => one.id === id);
    const added = { version, manifest, sizeBytes: bytes.length, modifiedAtMs: 0 };
    const record: ApplicationRecord = {
      id,
      allowUpdates: true,
      createdAtMs: 0,
      eTag: '0x1',
      lastModifiedMs: 0,
      ...known,
      ...(isDefault ? { defaultVersion: version } : {}),
      packages: [...(known?.packages.filter((one) => one.version !== version) ?? []), added],
    };
    this.applications = [...this.applications.filter((one) => one.id !== id), record];
  }

  agent(): Packages {
    const coordinator: PackageCoordinator = {
      mesh: {
        pool: () => ({ spec: { applicationPackageReferences: this.references } }),
        applications: () => this.heard,
        manifestHolders: () => [],
      },
      router: {
        query: (async (_: unknown, name: string) => {
          if (!this.leads) throw new ShoalError('NoQuorum');
          return name === 'application.list' ? this.applications : this.allotted.map((node) => ({ node }));
        }) as PackageCoordinator['router']['query'],
      },
    };
    return new Packages({
      nodesDirectory: this.root,
      files: {
        fetch: async (manifest) => {
          this.fetches += 1;
          return { manifest, sizeBytes: this.#content(manifest).length };
        },
        openContent: async (manifest) => Readable.from([this.#content(manifest)]),
      },
      coordinator,
      boot: this.boot,
      clock: systemClock,
      log: silentLog,
    });
  }

  #content(manifest: string): Buffer {
    return this.contents.get(manifest) ?? Buffer.alloc(0);
  }
}

const allotment = (node: string) => ({ node, pool: 'p' }) as Allotment;
const tool = (text: string): ZipEntry[] => [{ name: 'bin/tool', content: text, mode: PROGRAM }];

let world: World;
let packages: Packages;
beforeEach(async () => {
  world = new World(await temporaryDirectory());
  packages = world.agent();
});

const bring = (...references: ApplicationPackageReference[]): Promise<Record<string, string>> =>
  packages.bring(NODE, references, never());

async function toolIn(directory: string | undefined): Promise<string> {
  return readFile(join(directory ?? 'nowhere', 'bin/tool'), 'utf8');
}

describe('a package', () => {
  test('is unpacked for the task, and named in both spellings', async () => {
    world.put('My-tool', '1.0-b', tool('first'));
    const environment = await bring({ applicationId: 'my-TOOL', version: '1.0-B' });
    const directory = environment.AZ_BATCH_APP_PACKAGE_My_tool_1_0_b;
    expect(environment).toEqual({
      AZ_BATCH_APP_PACKAGE_My_tool_1_0_b: directory,
      AZ_BATCH_APP_PACKAGE_MY_TOOL_1_0_B: directory,
    });
    expect(directory?.startsWith(join(world.root, NODE, 'applications', 'my-tool', '1.0-b'))).toBe(true);
    expect(await toolIn(directory)).toBe('first');
    expect((await stat(directory ?? '')).mode & 0o777).toBe(0o755);
    expect(await readdir(join(directory ?? '', '..'))).toHaveLength(1);
  });

  test('has the name of its application alone where the reference names no version', async () => {
    world.put('tool', '1', tool('old'), true);
    world.put('tool', '2', tool('new'), true);
    const environment = await bring({ applicationId: 'tool' });
    expect(Object.keys(environment).sort()).toEqual([
      'AZ_BATCH_APP_PACKAGE_TOOL',
      'AZ_BATCH_APP_PACKAGE_TOOL_2',
      'AZ_BATCH_APP_PACKAGE_tool',
      'AZ_BATCH_APP_PACKAGE_tool_2',
    ]);
    expect(await toolIn(environment.AZ_BATCH_APP_PACKAGE_TOOL)).toBe('new');
  });

  test('is brought once, however many tasks want it at the same time and later', async () => {
    world.put('tool', '1', tool('x'));
    const reference = { applicationId: 'tool', version: '1' };
    const found = await Promise.all(Array.from({ length: 20 }, () => bring(reference)));
    expect(new Set(found.map((one) => one.AZ_BATCH_APP_PACKAGE_tool_1)).size).toBe(1);
    await bring(reference);
    packages = world.agent();
    await bring(reference);
    expect(world.fetches).toBe(1);
  });

  test('goes on for others where one task is stopped', async () => {
    world.put('tool', '1', tool('x'));
    const reference = { applicationId: 'tool', version: '1' };
    const stopped = new AbortController();
    const one = packages.bring(NODE, [reference], stopped.signal);
    const other = bring(reference);
    stopped.abort(new ShoalError('OperationTimedOut', 'stopped'));
    await expect(one).rejects.toMatchObject({ message: 'stopped' });
    expect(await toolIn((await other).AZ_BATCH_APP_PACKAGE_tool_1)).toBe('x');
  });

  test('that is replaced is unpacked beside the older one', async () => {
    world.put('tool', '1', tool('first'));
    const before = (await bring({ applicationId: 'tool', version: '1' })).AZ_BATCH_APP_PACKAGE_tool_1;
    world.put('tool', '1', tool('second'));
    const after = (await bring({ applicationId: 'tool', version: '1' })).AZ_BATCH_APP_PACKAGE_tool_1;
    expect([await toolIn(before), await toolIn(after)]).toEqual(['first', 'second']);
  });

  test('is unpacked anew after the machine restarted, and what was there is gone', async () => {
    world.put('tool', '1', tool('x'));
    const reference = { applicationId: 'tool', version: '1' };
    const before = (await bring(reference)).AZ_BATCH_APP_PACKAGE_tool_1 ?? '';
    world.boot = '12';
    packages = world.agent();
    const after = (await bring(reference)).AZ_BATCH_APP_PACKAGE_tool_1 ?? '';
    expect(await toolIn(after)).toBe('x');
    expect(await readdir(join(after, '..'))).toEqual([after.split('/').at(-1)]);
    expect(after).not.toBe(before);
  });

  test('takes the place of what an agent left half unpacked', async () => {
    world.put('tool', '1', tool('x'));
    const reference = { applicationId: 'tool', version: '1' };
    const directory = (await bring(reference)).AZ_BATCH_APP_PACKAGE_tool_1 ?? '';
    await rm(directory, { recursive: true });
    await mkdir(`${directory}.partial/stale`, { recursive: true });
    await writeFile(`${directory}.zip`, 'half');
    packages = world.agent();
    await bring(reference);
    expect(await readdir(directory)).toEqual(['bin']);
    expect(await readdir(join(directory, '..'))).toHaveLength(1);
  });

  test('that would fill the disk is refused before anything of it is written', async () => {
    // 260 GiB by its list: more than any package may have, and than most disks have left.
    const bomb = Array.from({ length: 65 }, (_, at) => ({ name: `zeros-${at}`, declaredBytes: 0xfffffffe }));
    world.put('bomb', '1', bomb);
    const { bavail, bsize } = await statfs(world.root);
    const code = bavail * bsize * PACKAGE_DISK_SHARE < PACKAGE_UNPACKED_BYTES_MAX ? 'DiskFull' : 'TooLarge';
    await expect(bring({ applicationId: 'bomb', version: '1' })).rejects.toMatchObject({ code });
    const version = join(world.root, NODE, 'applications/bomb/1');
    expect(await readdir(version)).toEqual([]);
  });

  test('that cannot be had says which and why, and is tried again by the next task', async () => {
    await expect(bring({ applicationId: 'tool', version: '1' })).rejects.toMatchObject({
      code: 'ApplicationNotFound',
      values: { package: 'tool 1' },
    });
    world.put('tool', '1', tool('x'));
    await expect(bring({ applicationId: 'tool' })).rejects.toMatchObject({ code: 'ApplicationNotFound' });
    world.put('tool', '1', Buffer.from('no zip file'));
    await expect(bring({ applicationId: 'tool', version: '1' })).rejects.toMatchObject({
      code: 'InvalidPropertyValue',
      values: { package: 'tool 1' },
    });
    const version = join(world.root, NODE, 'applications', 'tool', '1');
    expect(await readdir(version)).toEqual([]);
    world.put('tool', '1', tool('mended'));
    expect(
      await toolIn((await bring({ applicationId: 'tool', version: '1' })).AZ_BATCH_APP_PACKAGE_tool_1),
    ).toBe('mended');
  });

  test('is found by what this machine knows where nobody leads', async () => {
    world.put('tool', '1', tool('x'));
    world.heard = world.applications;
    world.leads = false;
    expect(await bring({ applicationId: 'tool', version: '1' })).toHaveProperty(
      'AZ_BATCH_APP_PACKAGE_tool_1',
    );
  });
});

describe('a node', () => {
  test('has the packages of its pool before a task asks, and they are those of each task', async () => {
    world.put('tool', '1', tool('x'));
    world.references = [{ applicationId: 'tool', version: '1' }];
    packages.setAllotments([allotment(NODE)]);
    const version = join(world.root, NODE, 'applications', 'tool', '1');
    await expect.poll(() => readdir(version).catch(() => [])).toHaveLength(1);
    await expect
      .poll(async () => (await readdir(version)).every((name) => !/partial|zip/.test(name)))
      .toBe(true);
    expect(await packages.bringOfPool(NODE, 'p', never())).toHaveProperty('AZ_BATCH_APP_PACKAGE_tool_1');
    expect(packages.faultOf(NODE)).toBeUndefined();
  });

  test('that cannot have those of its pool has a fault, until it can or leaves', async () => {
    world.put('tool', '1', Buffer.from('no archive'));
    world.references = [{ applicationId: 'tool', version: '1' }];
    packages.setAllotments([allotment(NODE)]);
    await expect.poll(() => packages.faultOf(NODE)?.code).toBe('ApplicationPackageError');
    expect(packages.faultOf(NODE)?.message).toContain('tool 1');
    await expect(packages.bringOfPool(NODE, 'p', never())).rejects.toThrow();
    world.put('tool', '1', tool('x'));
    await packages.bringOfPool(NODE, 'p', never());
    expect(packages.faultOf(NODE)).toBeUndefined();
    world.put('tool', '1', Buffer.from('none again'));
    await expect(packages.bringOfPool(NODE, 'p', never())).rejects.toThrow();
    packages.setAllotments([]);
    expect(packages.faultOf(NODE)).toBeUndefined();
    await packages.stop();
  });

  test('that left takes its packages along, also while the agent was away', async () => {
    world.put('tool', '1', tool('x'));
    const other = 'tvm-00000002';
    const left = join(world.root, other, 'applications');
    for (const node of [NODE, other])
      await packages.bring(node, [{ applicationId: 'tool', version: '1' }], never());
    packages.setAllotments([allotment(NODE), allotment(other)]);
    world.allotted = [NODE];
    packages.setAllotments([allotment(NODE)]);
    await packages.stop();
    await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' });
    await mkdir(left);
    packages = world.agent();
    packages.setAllotments([allotment(NODE)]);
    await packages.stop();
    await expect(stat(left)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readdir(join(world.root, NODE, 'applications'))).toEqual(['tool']);
  });
});
