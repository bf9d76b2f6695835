/**
 * Application packages on this machine's nodes: brought before the first task that needs them, unpacked once for each node
 * and content, shared by tasks at the same time, and removed when the node leaves.
 *
 * A package is unpacked beside its place and then given its name, so that what has the name is whole. After a crash of
 * the kernel that would not hold: the name may be on the disk and the bytes not. The name therefore ends with the
 * machine's boot, and a new boot unpacks anew, as Azure Batch does when a node restarts.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock, Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  NODE_FAULT_LENGTH_MAX,
  PACKAGE_DISK_SHARE,
  PACKAGE_ENTRIES_MAX,
  PACKAGE_UNPACKED_BYTES_MAX,
  PACKAGES_RETRY_MS,
  RPC_TIMEOUT_MS,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { isCode } from '../../src/lib/system-error.ts';
import {
  type ApplicationPackage,
  type ApplicationRecord,
  describeReference,
  packageOf,
} from '../../src/model/application.ts';
import type { ApplicationPackageReference } from '../../src/model/application-schema.ts';
import type { CallOptions } from '../../src/model/control.ts';
import { idKey, type MachineId, MESH_GROUP } from '../../src/model/ids.ts';
import type { Allotment, NodeFault } from '../../src/model/machine.ts';
import type { MeshQueries } from '../../src/model/queries.ts';
import { diskError } from '../files/disk-error.ts';
import { fillFile } from '../files/fill-file.ts';
import type { FileService } from '../files/interface.ts';
import { SafeDirectory } from '../files/safe-path.ts';
import { unlessAborted } from '../files/unless-aborted.ts';
import { unzip } from '../files/unzip.ts';

type PackageQuery = 'application.list' | 'allotment.list';

/** What packages need of the coordinator. */
export interface PackageCoordinator {
  /** This machine's copy of the mesh group's state; it may be a moment behind. */
  readonly mesh:
    | {
        pool(id: string):
          | {
              readonly spec: {
                readonly applicationPackageReferences?: readonly ApplicationPackageReference[];
              };
            }
          | undefined;
        applications(): readonly ApplicationRecord[];
        manifestHolders(manifest: string): readonly MachineId[];
      }
    | undefined;
  readonly router: {
    query<Q extends PackageQuery>(
      group: typeof MESH_GROUP,
      name: Q,
      argument: MeshQueries[Q][0],
      options?: CallOptions,
    ): Promise<MeshQueries[Q][1]>;
  };
}

export interface PackagesOptions {
  readonly nodesDirectory: string;
  readonly files: Pick<FileService, 'fetch' | 'openContent'>;
  readonly coordinator: PackageCoordinator;
  /** Names the machine's present boot. */
  readonly boot: string;
  readonly clock: Clock;
  readonly log: Log;
}

const DIRECTORY = 'applications';
/** Of the manifest's 64 digits, those in a directory's name: 128 bits, and short enough for a `#!` line. */
const DIGITS = 32;

export class Packages {
  readonly #options: PackagesOptions;
  readonly #aborter = new AbortController();
  /** By directory. */
  readonly #installing = new Map<string, Promise<void>>();
  #nodes: ReadonlySet<string> | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  readonly #faults = new Map<string, NodeFault>();
  readonly #retries = new Map<string, Timer>();
  #reading: Promise<unknown> = Promise.resolve();
  #nextRead: Promise<readonly ApplicationRecord[]> | undefined;

  constructor(options: PackagesOptions) {
    this.#options = options;
  }

  #referencesOf(pool: string): readonly ApplicationPackageReference[] {
    return this.#options.coordinator.mesh?.pool(pool)?.spec.applicationPackageReferences ?? [];
  }

  /**
   * Brings packages to a node; resolves with the environment that says where they are. Rejects with the coded error of the
   * first that cannot be had, whose `values.package` names it.
   */
  async bring(
    node: string,
    references: readonly ApplicationPackageReference[],
    signal: AbortSignal,
  ): Promise<Record<string, string>> {
    const applications = await unlessAborted(this.#newest(), signal);
    const environment: Record<string, string> = {};
    for (const reference of references) {
      const name = describeReference(reference);
      try {
        const application = applications.find(({ id }) => idKey(id) === idKey(reference.applicationId));
        const found = packageOf(application, reference.version);
        if (application === undefined || found === undefined)
          throw new ShoalError('ApplicationNotFound', `There is no application package ${name}.`);
        const directory = this.#directoryOf(node, application.id, found);
        await unlessAborted(this.#install(directory, found), signal);
        Object.assign(environment, variablesOf(application.id, found.version, reference, directory));
      } catch (error) {
        signal.throwIfAborted();
        const { code, message } = diskError(error);
        throw new ShoalError(code, message, { package: name }, { cause: error });
      }
    }
    return environment;
  }

  /** The mesh group's word on which nodes this machine hosts: packages of a new node's pool come at once. */
  setAllotments(allotments: readonly Allotment[]): void {
    const nodes = new Set(allotments.map(({ node }) => node));
    const before = this.#nodes;
    const added = allotments.filter(({ node }) => before?.has(node) !== true);
    this.#nodes = nodes;
    for (const node of this.#faults.keys()) if (!nodes.has(node)) this.#faults.delete(node);
    if (before === undefined || [...before].some((node) => !nodes.has(node)))
      this.#sweeping = this.#sweeping.then(() => this.#sweep());
    for (const { node, pool } of added) this.#bringAhead(node, pool);
  }

  async stop(): Promise<void> {
    this.#aborter.abort(new ShoalError('ServerBusy', 'This agent stops.'));
    for (const retry of this.#retries.values()) retry.cancel();
    await Promise.allSettled([...this.#installing.values(), this.#sweeping]);
  }

  /**
   * Why the node can take no task of its pool: the pool's packages could not be had. They are tried for again until they
   * can, or the node leaves.
   */
  faultOf(node: string): NodeFault | undefined {
    return this.#faults.get(node);
  }

  #bringAhead(node: string, pool: string): void {
    this.bringOfPool(node, pool, this.#aborter.signal).catch(() => undefined);
  }

  /** What every task of the pool has on its node. Rejects as `bring` does, and then the node has a fault. */
  async bringOfPool(node: string, pool: string, signal: AbortSignal): Promise<Record<string, string>> {
    const references = this.#referencesOf(pool);
    try {
      const environment = references.length === 0 ? {} : await this.bring(node, references, signal);
      this.#faults.delete(node);
      return environment;
    } catch (error) {
      if (!signal.aborted && !this.#aborter.signal.aborted) this.#fail(node, pool, asShoalError(error));
      throw error;
    }
  }

  #fail(node: string, pool: string, { message, values }: ShoalError): void {
    if (this.#nodes?.has(node) !== true) return;
    const text = `The application package ${values.package ?? ''} of the pool could not be had: ${message}`;
    this.#faults.set(node, {
      code: 'ApplicationPackageError',
      message: text.slice(0, NODE_FAULT_LENGTH_MAX),
    });
    this.#options.log.warn({ node, error: message }, 'the application packages of a pool could not be had');
    if (this.#retries.has(node)) return;
    const retry = this.#options.clock.after(PACKAGES_RETRY_MS, () => {
      this.#retries.delete(node);
      if (this.#nodes?.has(node) === true) this.#bringAhead(node, pool);
    });
    this.#retries.set(node, retry);
  }

  /**
   * As the leader has them: who stored a version, or chose a default, and then adds a task, gets that one. Those who ask
   * while a read is under way share the next one, which is not older than their question. A machine that hears no
   * leader goes by what it knows.
   */
  #newest(): Promise<readonly ApplicationRecord[]> {
    this.#nextRead ??= this.#reading.then(() => {
      this.#nextRead = undefined;
      const { router } = this.#options.coordinator;
      const read = router
        .query(MESH_GROUP, 'application.list', {}, { timeoutMs: RPC_TIMEOUT_MS })
        .catch(() => this.#options.coordinator.mesh?.applications() ?? []);
      this.#reading = read;
      return read;
    });
    return this.#nextRead;
  }

  #directoryOf(node: string, id: string, { version, manifest }: ApplicationPackage): string {
    const name = `${manifest.slice(0, DIGITS)}.${this.#options.boot}`;
    return join(this.#options.nodesDirectory, node, DIRECTORY, idKey(id), version.toLowerCase(), name);
  }

  /** One at a time for each directory; who comes while it is under way shares it. */
  #install(directory: string, wanted: ApplicationPackage): Promise<void> {
    const present = this.#installing.get(directory);
    if (present !== undefined) return present;
    if (existsSync(directory)) return Promise.resolve();
    const installing = this.#unpack(directory, wanted).finally(() => this.#installing.delete(directory));
    this.#installing.set(directory, installing);
    return installing;
  }

  async #unpack(directory: string, { manifest }: ApplicationPackage): Promise<void> {
    const { files, coordinator } = this.#options;
    const { signal } = this.#aborter;
    await files.fetch(manifest, coordinator.mesh?.manifestHolders(manifest) ?? [], signal);
    await this.#makeWay(directory);
    const staging = `${directory}.partial`;
    const archive = `${directory}.zip`;
    try {
      await rm(staging, { recursive: true, force: true });
      await mkdir(staging, { mode: 0o755 });
      await chmod(staging, 0o755);
      const file = await open(archive, 'w', 0o600);
      try {
        await fillFile(file, await files.openContent(manifest), signal);
      } finally {
        await file.close();
      }
      await unzipWhereThereIsRoom(archive, staging, signal);
      await rename(staging, directory);
    } finally {
      await rm(archive, { force: true });
      await rm(staging, { recursive: true, force: true });
    }
  }

  /** The directories on the way, open to the tasks' user; what another boot left there goes, for nothing of it runs any more. */
  async #makeWay(directory: string): Promise<void> {
    const { nodesDirectory } = this.#options;
    const version = dirname(directory);
    const node = dirname(dirname(dirname(version)));
    // As the runner makes it: others may pass through it but not list it.
    await mkdir(nodesDirectory, { recursive: true });
    await mkdir(node, { mode: 0o711 }).catch(unlessThere);
    for (const at of [dirname(dirname(version)), dirname(version), version]) {
      await mkdir(at, { mode: 0o755 }).catch(unlessThere);
      await chmod(at, 0o755);
    }
    const { boot } = this.#options;
    for (const name of await readdir(version)) {
      if (name.split('.')[1] !== boot) await rm(join(version, name), { recursive: true, force: true });
    }
  }

  /**
   * Removes the packages of nodes that left. The directories are listed before the leader is asked: a node that had one
   * by then and is not allotted any more never comes back, for no node's name is used twice.
   */
  async #sweep(): Promise<void> {
    const { nodesDirectory, coordinator, log } = this.#options;
    try {
      const names = await readdir(nodesDirectory);
      const gone = names.filter((name) => existsSync(join(nodesDirectory, name, DIRECTORY)));
      if (gone.length === 0) return;
      const allotted = await coordinator.router.query(MESH_GROUP, 'allotment.list', {});
      const present = new Set(allotted.map(({ node }) => node));
      for (const name of gone) {
        if (!present.has(name))
          await rm(join(nodesDirectory, name, DIRECTORY), { recursive: true, force: true });
      }
    } catch (error) {
      log.info({ error: asShoalError(error).message }, 'packages of nodes that left were not removed');
    }
  }
}

/** Azure Batch's names (page "Deploy applications to compute nodes with Batch application packages"), on Linux in both spellings. */
function variablesOf(
  id: string,
  version: string,
  reference: ApplicationPackageReference,
  directory: string,
): Record<string, string> {
  const variables: Record<string, string> = {};
  const names = reference.version === undefined ? [`${id}_${version}`, id] : [`${id}_${version}`];
  for (const name of names) {
    const flat = name.replace(/[.#-]/g, '_');
    variables[`AZ_BATCH_APP_PACKAGE_${flat}`] = directory;
    variables[`AZ_BATCH_APP_PACKAGE_${flat.toUpperCase()}`] = directory;
  }
  return variables;
}

/** A few kilobytes can unpack to more than the disk has; then nothing is written, for what else is on the disk would suffer too. */
async function unzipWhereThereIsRoom(archive: string, staging: string, signal: AbortSignal): Promise<void> {
  const { bavail, bsize } = await statfs(staging);
  const roomBytes = Math.floor(bavail * bsize * PACKAGE_DISK_SHARE);
  const bytesMax = Math.min(PACKAGE_UNPACKED_BYTES_MAX, roomBytes);
  const target = await SafeDirectory.open(staging);
  try {
    await unzip(archive, target, signal, { entriesMax: PACKAGE_ENTRIES_MAX, bytesMax });
  } catch (error) {
    const isTooLarge = error instanceof ShoalError && error.code === 'TooLarge';
    if (!isTooLarge || bytesMax === PACKAGE_UNPACKED_BYTES_MAX) throw error;
    throw new ShoalError('DiskFull', `${error.message} The disk has no room for more.`, {}, { cause: error });
  } finally {
    await target.close();
  }
}

function unlessThere(error: unknown): void {
  if (!isCode(error, 'EEXIST')) throw error;
}
