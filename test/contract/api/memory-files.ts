/** Files of tasks and nodes, and the bytes of blobs, in memory. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { ShoalError } from '../../../src/lib/errors.ts';
import type { ApplicationRecord } from '../../../src/model/application.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import type { ByteRange, Control, FileControl, FileEntry, OpenedFile } from '../../../src/model/control.ts';
import { idKey, type MachineId, MESH_GROUP } from '../../../src/model/ids.ts';
import { unwrap } from '../../../src/model/outcome.ts';

export class MemoryFiles implements FileControl {
  readonly #control: Control;
  readonly #holder: MachineId;
  readonly #owners = new Map<string, Map<string, Buffer>>();
  readonly #contents = new Map<string, Buffer>();
  readonly #modifiedAtMs: number;

  constructor(control: Control, holder: MachineId, modifiedAtMs: number) {
    this.#control = control;
    this.#holder = holder;
    this.#modifiedAtMs = modifiedAtMs;
  }

  writeTaskFile(job: string, task: string, path: string, content: string): void {
    this.#ownerOf(taskOwner(job, task)).set(path, Buffer.from(content));
  }

  appendTaskFile(job: string, task: string, path: string, content: string): void {
    const files = this.#ownerOf(taskOwner(job, task));
    files.set(path, Buffer.concat([files.get(path) ?? Buffer.alloc(0), Buffer.from(content)]));
  }

  writeNodeFile(pool: string, node: string, path: string, content: string): void {
    this.#ownerOf(nodeOwner(pool, node)).set(path, Buffer.from(content));
  }

  listTaskFiles = async (job: string, task: string, recursive: boolean): Promise<readonly FileEntry[]> =>
    this.#list(taskOwner(job, task), recursive);
  statTaskFile = async (job: string, task: string, path: string): Promise<FileEntry> =>
    this.#stat(taskOwner(job, task), path);
  openTaskFile = async (
    job: string,
    task: string,
    path: string,
    range: ByteRange | undefined,
  ): Promise<OpenedFile> => this.#open(taskOwner(job, task), path, range);
  listNodeFiles = async (pool: string, node: string, recursive: boolean): Promise<readonly FileEntry[]> =>
    this.#list(nodeOwner(pool, node), recursive);
  statNodeFile = async (pool: string, node: string, path: string): Promise<FileEntry> =>
    this.#stat(nodeOwner(pool, node), path);
  openNodeFile = async (
    pool: string,
    node: string,
    path: string,
    range: ByteRange | undefined,
  ): Promise<OpenedFile> => this.#open(nodeOwner(pool, node), path, range);

  deleteTaskFile = async (job: string, task: string, path: string, recursive: boolean): Promise<void> =>
    this.#delete(taskOwner(job, task), path, recursive);
  deleteNodeFile = async (pool: string, node: string, path: string, recursive: boolean): Promise<void> =>
    this.#delete(nodeOwner(pool, node), path, recursive);

  async putBlob(
    container: string,
    name: string,
    body: Readable,
    options?: { readonly createContainer?: boolean },
  ): Promise<BlobRecord> {
    const content = await buffer(body);
    const manifest = createHash('sha256').update(content).digest('hex');
    this.#contents.set(manifest, content);
    const blob = { name, sizeBytes: content.length, manifest, holders: [this.#holder] };
    const put = await this.#control.propose(MESH_GROUP, {
      kind: 'blob.put',
      container,
      blobs: [blob],
      createContainer: options?.createContainer ?? false,
    });
    unwrap(put);
    return this.#control.query(MESH_GROUP, 'blob.get', { container, name });
  }

  async putPackage(
    application: string,
    version: string,
    body: Readable,
    options?: { readonly makeDefault?: boolean },
  ): Promise<ApplicationRecord> {
    const content = await buffer(body);
    const put = await this.#control.propose(MESH_GROUP, {
      kind: 'application.put',
      application,
      version,
      manifest: createHash('sha256').update(content).digest('hex'),
      sizeBytes: content.length,
      holders: [this.#holder],
      makeDefault: options?.makeDefault ?? false,
    });
    unwrap(put);
    return this.#control.query(MESH_GROUP, 'application.get', { application });
  }

  async openBlob(
    container: string,
    name: string,
    range: ByteRange | undefined,
  ): Promise<{ record: BlobRecord; body: Readable }> {
    const record = await this.#control.query(MESH_GROUP, 'blob.get', { container, name });
    const content = this.#contents.get(record.manifest) ?? Buffer.alloc(0);
    return { record, body: Readable.from([sliceOf(content, range)]) };
  }

  #ownerOf(owner: string): Map<string, Buffer> {
    const files = this.#owners.get(owner) ?? new Map<string, Buffer>();
    this.#owners.set(owner, files);
    return files;
  }

  #delete(owner: string, path: string, recursive: boolean): void {
    const { directory } = this.#stat(owner, path);
    if (directory && !recursive) throw new ShoalError('OperationInvalidForCurrentState');
    const files = this.#ownerOf(owner);
    for (const file of [...files.keys()])
      if (file === path || file.startsWith(`${path}/`)) files.delete(file);
  }

  #list(owner: string, recursive: boolean): readonly FileEntry[] {
    const entries = new Map<string, FileEntry>();
    for (const [path, content] of this.#ownerOf(owner)) {
      const parts = path.split('/');
      for (let depth = 1; depth < parts.length; depth += 1) {
        const directory = parts.slice(0, depth).join('/');
        if (recursive || depth === 1) entries.set(directory, this.#entry(directory, true, 0));
      }
      if (recursive || parts.length === 1) entries.set(path, this.#entry(path, false, content.length));
    }
    return [...entries.values()];
  }

  #stat(owner: string, path: string): FileEntry {
    const files = this.#ownerOf(owner);
    const content = files.get(path);
    if (content !== undefined) return this.#entry(path, false, content.length);
    if ([...files.keys()].some((file) => file.startsWith(`${path}/`))) return this.#entry(path, true, 0);
    throw new ShoalError('FileNotFound', undefined, { FilePath: path });
  }

  #open(owner: string, path: string, range: ByteRange | undefined): OpenedFile {
    const entry = this.#stat(owner, path);
    const content = this.#ownerOf(owner).get(path) ?? Buffer.alloc(0);
    return { entry, body: Readable.from([sliceOf(content, range)]) };
  }

  #entry(path: string, directory: boolean, sizeBytes: number): FileEntry {
    return {
      path,
      directory,
      sizeBytes,
      modifiedAtMs: this.#modifiedAtMs,
      mode: directory ? 0o40755 : 0o100644,
    };
  }
}

function taskOwner(job: string, task: string): string {
  return `task ${idKey(job)} ${idKey(task)}`;
}

function nodeOwner(pool: string, node: string): string {
  return `node ${idKey(pool)} ${node}`;
}

function sliceOf(content: Buffer, range: ByteRange | undefined): Buffer {
  return range === undefined ? content : content.subarray(range.start, (range.end ?? content.length - 1) + 1);
}
