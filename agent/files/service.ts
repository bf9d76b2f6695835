/** The file services of a machine, put together: one object for the API, the lifecycle and the composition root. */
import type { Readable } from 'node:stream';
import type { Clock } from '../../src/lib/clock.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { COLLECT_PERIOD_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { BulkTransport } from '../../src/mesh/interface.ts';
import type { ApplicationRecord } from '../../src/model/application.ts';
import type { BlobRecord } from '../../src/model/blob.ts';
import type { ByteRange, CallOptions, FileEntry, OpenedFile } from '../../src/model/control.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import { Blobs, type NamedContent } from './blobs.ts';
import { ChunkStore } from './chunk-store.ts';
import { Collector } from './collect.ts';
import { Copies } from './copies.ts';
import { Fetcher } from './fetcher.ts';
import type { FileDisk } from './file-disk.ts';
import { Holds } from './holds.ts';
import type { FileService, StoredContent } from './interface.ts';
import { isChunkHash } from './manifest.ts';
import { NodeFiles } from './node-files.ts';
import { RemoteFiles } from './remote-files.ts';
import { Repair } from './repair.ts';
import { Serving } from './serving.ts';
import type { FileCoordinator, Surroundings } from './surroundings.ts';
import { TaskFiles } from './task-files.ts';

export interface FileServiceInit {
  readonly self: MachineId;
  readonly disk: FileDisk;
  readonly nodesDirectory: string;
  readonly transport: Surroundings['transport'];
  readonly bulk: BulkTransport;
  readonly coordinator: FileCoordinator;
  readonly clock: Clock;
  readonly log: Log;
  /** Length of the chunks that are cut here. Default and maximum `CHUNK_BYTES`. */
  readonly chunkBytes?: number;
  /** See `Surroundings`. Default `COLLECT_PERIOD_MS`. */
  readonly collectPeriodMs?: number;
}

export function createFileService(init: FileServiceInit): LocalFileService {
  return new LocalFileService(init);
}

interface Parts {
  readonly store: ChunkStore;
  readonly holds: Holds;
  readonly fetcher: Fetcher;
  readonly serving: Serving;
  readonly copies: Copies;
  readonly blobs: Blobs;
  readonly tasks: TaskFiles;
  readonly repair: Repair;
  readonly collector: Collector;
}

/** Calls wait until it has started: a task that survived a restart may end before. */
export class LocalFileService implements FileService {
  readonly #init: FileServiceInit;
  readonly #parts: Promise<Parts>;
  #settle: { resolve(parts: Parts): void; reject(error: ShoalError): void } = {
    resolve: () => undefined,
    reject: () => undefined,
  };
  #stop: () => Promise<void> = async () => undefined;

  constructor(init: FileServiceInit) {
    this.#init = init;
    this.#parts = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#parts.catch(() => undefined);
  }

  async start(): Promise<void> {
    const parts = await this.#open();
    parts.fetcher.start();
    parts.serving.start();
    parts.copies.start();
    parts.repair.start();
    parts.collector.start();
    this.#stop = async () => {
      parts.collector.stop();
      parts.repair.stop();
      parts.serving.stop();
      parts.fetcher.stop();
      await parts.holds.close();
      await this.#init.disk.chunks.close();
    };
    this.#settle.resolve(parts);
  }

  async stop(): Promise<void> {
    this.#settle.reject(new ShoalError('ServerBusy', 'This agent stops.'));
    await this.#stop();
  }

  // --- Contents -------------------------------------------------------------------------------------------------

  async ingest(body: Readable, signal?: AbortSignal): Promise<StoredContent> {
    return (await this.#parts).blobs.ingest(body, signal);
  }

  /** `hints`: machines or peers. */
  async fetch(manifest: string, hints: readonly string[], signal?: AbortSignal): Promise<StoredContent> {
    requireHash(manifest);
    const { fetcher } = await this.#parts;
    const { sizeBytes } = await fetcher.fetch(manifest, hints.map(peerOfMachine), signal);
    return { manifest, sizeBytes };
  }

  async openContent(manifest: string): Promise<Readable> {
    requireHash(manifest);
    const { store, fetcher } = await this.#parts;
    const here = (await fetcher.complete(manifest))?.manifest ?? (await fetcher.fetch(manifest, []));
    return store.open(here);
  }

  async publish(container: string, blobs: readonly NamedContent[], signal?: AbortSignal): Promise<void> {
    return (await this.#parts).blobs.publish(container, blobs, signal);
  }

  async spread(content: StoredContent, untilMs: number, signal?: AbortSignal): Promise<void> {
    const { copies, holds } = await this.#parts;
    await holds.keep(content.manifest, untilMs);
    await copies.copy([content], untilMs, signal);
  }

  // --- Blobs ----------------------------------------------------------------------------------------------------

  async list(container: string, prefix: string, signal?: AbortSignal): Promise<readonly BlobRecord[]> {
    return (await this.#parts).blobs.list(container, prefix, signal);
  }

  async putBlob(
    container: string,
    name: string,
    body: Readable,
    options?: CallOptions & { readonly createContainer?: boolean },
  ): Promise<BlobRecord> {
    return (await this.#parts).blobs.put(container, name, body, options);
  }

  async putPackage(
    application: string,
    version: string,
    body: Readable,
    options?: CallOptions & { readonly makeDefault?: boolean },
  ): Promise<ApplicationRecord> {
    return (await this.#parts).blobs.putPackage(application, version, body, options);
  }

  async openBlob(
    container: string,
    name: string,
    range: ByteRange | undefined,
    options?: CallOptions,
  ): Promise<{ record: BlobRecord; body: Readable }> {
    return (await this.#parts).blobs.open(container, name, range, options);
  }

  // --- Files of tasks and nodes ---------------------------------------------------------------------------------

  async listTaskFiles(
    job: string,
    task: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<readonly FileEntry[]> {
    return (await this.#parts).tasks.list(job, task, recursive, options);
  }

  async statTaskFile(job: string, task: string, path: string, options?: CallOptions): Promise<FileEntry> {
    return (await this.#parts).tasks.stat(job, task, path, options);
  }

  async openTaskFile(
    job: string,
    task: string,
    path: string,
    range: ByteRange | undefined,
    options?: CallOptions,
  ): Promise<OpenedFile> {
    return (await this.#parts).tasks.open(job, task, path, range, options);
  }

  async deleteTaskFile(
    job: string,
    task: string,
    path: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<void> {
    return (await this.#parts).tasks.remove(job, task, path, recursive, options);
  }

  async listNodeFiles(
    pool: string,
    node: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<readonly FileEntry[]> {
    return (await this.#parts).tasks.listNode(pool, node, recursive, options);
  }

  async statNodeFile(pool: string, node: string, path: string, options?: CallOptions): Promise<FileEntry> {
    return (await this.#parts).tasks.statNode(pool, node, path, options);
  }

  async openNodeFile(
    pool: string,
    node: string,
    path: string,
    range: ByteRange | undefined,
    options?: CallOptions,
  ): Promise<OpenedFile> {
    return (await this.#parts).tasks.openNode(pool, node, path, range, options);
  }

  async deleteNodeFile(
    pool: string,
    node: string,
    path: string,
    recursive: boolean,
    options?: CallOptions,
  ): Promise<void> {
    return (await this.#parts).tasks.removeNode(pool, node, path, recursive, options);
  }

  // --- For the machine itself -----------------------------------------------------------------------------------

  /** Removes what nothing refers to, now; returns the bytes that came free. It also happens by itself every ten minutes. */
  async collect(): Promise<number> {
    return (await this.#parts).collector.look(true);
  }

  /** Bytes of all chunks on this machine. */
  async storedBytes(): Promise<number> {
    return (await this.#parts).store.sizeBytes();
  }

  async #open(): Promise<Parts> {
    const { disk, nodesDirectory, chunkBytes, collectPeriodMs = COLLECT_PERIOD_MS, ...rest } = this.#init;
    const surroundings: Surroundings = { ...rest, collectPeriodMs };
    const { clock } = surroundings;
    const capacityBytes = await disk.open();
    let onDamaged = (): void => undefined;
    const store = await ChunkStore.open({
      disk: disk.chunks,
      clock,
      capacityBytes,
      onDamaged: () => onDamaged(),
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
    });
    const holds = await Holds.open(disk.kept, clock);
    const fetcher = new Fetcher(surroundings, store, holds);
    const copies = new Copies(surroundings, store, fetcher, holds);
    const collector = new Collector(surroundings, store, fetcher, holds);
    onDamaged = () => collector.onDamaged();
    const remote = new RemoteFiles(surroundings, new NodeFiles(nodesDirectory));
    remote.start();
    return {
      store,
      holds,
      fetcher,
      copies,
      collector,
      serving: new Serving(surroundings, store, fetcher),
      blobs: new Blobs(surroundings, store, fetcher, copies, holds),
      tasks: new TaskFiles(surroundings, remote, fetcher),
      repair: new Repair(surroundings, copies, fetcher),
    };
  }
}

function requireHash(manifest: string): void {
  if (!isChunkHash(manifest)) {
    throw new ShoalError('InvalidPropertyValue', 'A content is named by 64 lower-case hexadecimal digits.');
  }
}
