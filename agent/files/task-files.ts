/**
 * Files of tasks and nodes by their ids, wherever they are. A task's files are on the node that ran it; once that is gone,
 * or has removed them, what a completed task left in its record and in the chunk stores answers for them.
 */
import { Readable } from 'node:stream';
import { ShoalError } from '../../src/lib/errors.ts';
import type { ByteRange, CallOptions, FileEntry, OpenedFile } from '../../src/model/control.ts';
import { type MachineId, MESH_GROUP, peerOfMachine, poolGroup } from '../../src/model/ids.ts';
import type { TaskEntity } from '../../src/model/queries.ts';
import type { KeptFile } from '../../src/model/task.ts';
import { taskRootDirectory } from '../lifecycle/directories.ts';
import { callOf } from './blobs.ts';
import { lengthOfRange } from './byte-range.ts';
import type { Fetcher } from './fetcher.ts';
import type { Place } from './node-files.ts';
import { isUp, machineOfNode } from './node-machine.ts';
import type { RemoteFiles } from './remote-files.ts';
import type { Surroundings } from './surroundings.ts';

/** Written by every execution; one that stayed empty is not kept. */
const LOGS = ['stdout.txt', 'stderr.txt'];

interface Live {
  readonly machine: MachineId;
  readonly place: Place;
}

export class TaskFiles {
  readonly #surroundings: Surroundings;
  readonly #remote: RemoteFiles;
  readonly #fetcher: Fetcher;

  constructor(surroundings: Surroundings, remote: RemoteFiles, fetcher: Fetcher) {
    this.#surroundings = surroundings;
    this.#remote = remote;
    this.#fetcher = fetcher;
  }

  // --- Of a task ------------------------------------------------------------------------------------------------

  list(
    job: string,
    task: string,
    recursive: boolean,
    options: CallOptions = {},
  ): Promise<readonly FileEntry[]> {
    return this.#ofTask<readonly FileEntry[]>(
      job,
      task,
      options,
      ({ machine, place }) => this.#remote.list(machine, place, recursive, options.signal),
      async (entity) => keptEntries(entity, recursive),
    );
  }

  stat(job: string, task: string, path: string, options: CallOptions = {}): Promise<FileEntry> {
    return this.#ofTask<FileEntry>(
      job,
      task,
      options,
      ({ machine, place }) => this.#remote.stat(machine, place, path, options.signal),
      async (entity) => keptEntry(entity, path),
    );
  }

  open(
    job: string,
    task: string,
    path: string,
    range: ByteRange | undefined,
    options: CallOptions = {},
  ): Promise<OpenedFile> {
    return this.#ofTask<OpenedFile>(
      job,
      task,
      options,
      ({ machine, place }) => this.#remote.open(machine, place, path, range, options.signal),
      (entity) => this.#openKept(entity, path, range, options.signal),
    );
  }

  remove(
    job: string,
    task: string,
    path: string,
    recursive: boolean,
    options: CallOptions = {},
  ): Promise<void> {
    return this.#ofTask<void>(
      job,
      task,
      options,
      ({ machine, place }) => this.#remote.remove(machine, place, path, recursive, options.signal),
      async () => {
        throw new ShoalError('FileNotFound', `${path} is not on a node any more.`, { FilePath: path });
      },
    );
  }

  /** On the node while that is there; of a completed task else what was kept. */
  async #ofTask<T>(
    job: string,
    task: string,
    options: CallOptions,
    live: (where: Live) => Promise<T>,
    kept: (entity: TaskEntity) => Promise<T>,
  ): Promise<T> {
    const entity = await this.#task(job, task, options);
    const { node, machine } = entity;
    if (node === undefined || machine === undefined) {
      throw new ShoalError('TaskFilesUnavailable', `The task ${task} has not run on a node yet.`);
    }
    const completed = entity.state === 'completed';
    if (isUp(this.#surroundings, machine)) {
      const directory = taskRootDirectory(entity.job, entity.spec.id);
      try {
        return await live({ machine, place: { node, directory } });
      } catch (error) {
        if (!completed || !isAbsence(error)) throw error;
      }
    } else if (!completed) {
      throw new ShoalError('NodeNotReady', `The machine of the node ${node} cannot be reached.`, { node });
    }
    return kept(entity);
  }

  async #task(job: string, task: string, options: CallOptions): Promise<TaskEntity> {
    const { coordinator } = this.#surroundings;
    const { router } = coordinator;
    const call = callOf(options);
    // This machine's own copy spares a round trip. Where it is behind, the pool's group knows no such job, and we ask.
    const near = coordinator.mesh?.jobPool(job);
    if (near !== undefined) {
      try {
        return await router.query(poolGroup(near), 'task.get', { job, task }, call);
      } catch (error) {
        if (!(error instanceof ShoalError && error.code === 'JobNotFound')) throw error;
      }
    }
    const pool = await router.query(MESH_GROUP, 'job.locate', { job }, call);
    if (typeof pool !== 'string') throw new ShoalError('JobNotFound', `There is no job ${job}.`);
    return router.query(poolGroup(pool), 'task.get', { job, task }, call);
  }

  async #openKept(
    entity: TaskEntity,
    path: string,
    range: ByteRange | undefined,
    signal: AbortSignal | undefined,
  ): Promise<OpenedFile> {
    const entry = keptEntry(entity, path);
    const file = entity.files.find((one) => one.path === path);
    const part = lengthOfRange(range, entry.sizeBytes);
    if (file?.manifest !== undefined) {
      const hints = entity.machine === undefined ? [] : [peerOfMachine(entity.machine)];
      return { entry, body: await this.#fetcher.stream(file.manifest, file.sizeBytes, part, hints, signal) };
    }
    if (entry.directory) throw new ShoalError('FileNotFound', `${path} is a directory.`, { FilePath: path });
    const bytes = file?.inline ?? new Uint8Array();
    const { offsetBytes, lengthBytes } = part;
    const body = Readable.from([bytes.subarray(offsetBytes, offsetBytes + lengthBytes)], {
      objectMode: false,
    });
    return { entry, body };
  }

  // --- Of a node ------------------------------------------------------------------------------------------------

  async listNode(
    pool: string,
    node: string,
    recursive: boolean,
    options: CallOptions = {},
  ): Promise<readonly FileEntry[]> {
    const machine = await machineOfNode(this.#surroundings, pool, node, options);
    return this.#remote.list(machine, { node, directory: '' }, recursive, options.signal);
  }

  async statNode(pool: string, node: string, path: string, options: CallOptions = {}): Promise<FileEntry> {
    const machine = await machineOfNode(this.#surroundings, pool, node, options);
    return this.#remote.stat(machine, { node, directory: '' }, path, options.signal);
  }

  async openNode(
    pool: string,
    node: string,
    path: string,
    range: ByteRange | undefined,
    options: CallOptions = {},
  ): Promise<OpenedFile> {
    const machine = await machineOfNode(this.#surroundings, pool, node, options);
    return this.#remote.open(machine, { node, directory: '' }, path, range, options.signal);
  }

  async removeNode(
    pool: string,
    node: string,
    path: string,
    recursive: boolean,
    options: CallOptions = {},
  ): Promise<void> {
    const machine = await machineOfNode(this.#surroundings, pool, node, options);
    return this.#remote.remove(machine, { node, directory: '' }, path, recursive, options.signal);
  }
}

/** The node is gone or does not have it any more. */
function isAbsence(error: unknown): boolean {
  if (!(error instanceof ShoalError)) return false;
  return (
    error.code === 'FileNotFound' || error.code === 'PeerUnreachable' || error.code === 'OperationTimedOut'
  );
}

// --- Kept files -----------------------------------------------------------------------------------------------------

function keptEntry(entity: TaskEntity, path: string): FileEntry {
  const entry = keptEntries(entity, true).find((one) => one.path === path);
  if (entry !== undefined) return entry;
  throw new ShoalError('FileNotFound', `The task's node is gone, and ${path} was not kept.`, {
    FilePath: path,
  });
}

/** As on the node: files and the directories that lead to them. */
function keptEntries(entity: TaskEntity, recursive: boolean): FileEntry[] {
  const modifiedAtMs = entity.endTimeMs ?? entity.stateTransitionTimeMs;
  const entries = new Map<string, FileEntry>();
  const empty = LOGS.map((path): KeptFile => ({ path, sizeBytes: 0 }));
  for (const { path, sizeBytes } of [...empty, ...entity.files]) {
    const components = path.split('/');
    for (let depth = 1; depth < components.length; depth++) {
      const directory = components.slice(0, depth).join('/');
      entries.set(directory, { path: directory, directory: true, sizeBytes: 0, modifiedAtMs });
    }
    entries.set(path, { path, directory: false, sizeBytes, modifiedAtMs });
  }
  return [...entries.values()].filter(({ path }) => recursive || !path.includes('/'));
}
