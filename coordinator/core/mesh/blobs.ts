/**
 * Containers and blobs. Rows are cold; hot is what `apply` must know without reading rows: each blob's content and
 * origin by name. Measured with a million blobs of 40-character names, each with a content of its own: 310 bytes a
 * blob, contents included, and 370 where each has an origin of its own. Equal contents, and the origin of the outputs
 * of one execution, are held once.
 */

import { detached } from '../../../src/lib/detached.ts';
import {
  BLOB_BYTES_MAX,
  BLOB_KEY_LENGTH_MAX,
  BLOBS_PER_COMMAND_MAX,
  CONTAINER_DELETE_SLICE,
} from '../../../src/lib/limits.ts';
import type { BlobOrigin, BlobRecord, ContainerRecord } from '../../../src/model/blob.ts';
import { isValidBlobName, isValidContainerName } from '../../../src/model/blob.ts';
import type { BlobPut, MeshCommand } from '../../../src/model/commands.ts';
import { idKey } from '../../../src/model/ids.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { type Content, type Contents, isManifest } from './contents.ts';
import type { Counters } from './counters.ts';
import {
  blobRows,
  containerRow,
  dyingContainerRow,
  escapeBlobName,
  longBlobKey,
  splitBlobRow,
} from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

interface Entry {
  readonly content: Content;
  readonly origin: BlobOrigin | undefined;
}

/** A container that takes blobs, or one that was deleted (`name` is then undefined) and still lets them go. */
interface Container {
  readonly number: number;
  name: string | undefined;
  createdAtMs: number;
  sizeBytes: number;
  readonly entries: Map<string, Entry>;
  /** Row keys of the names that are too long to be their own. */
  readonly longKeys: Map<string, string>;
  /** Of a deleted container: its names, last one first to go. Sorted once, as every replica must let go of the same ones. */
  dying: string[] | undefined;
}

interface ContainerRow extends Omit<ContainerRecord, 'blobs'> {
  readonly number: number;
}

export interface BlobRow {
  readonly name: string;
  readonly manifest: string;
  readonly modifiedAtMs: number;
  readonly origin?: BlobOrigin;
}

type BlobPutCommand = Extract<MeshCommand, { kind: 'blob.put' }>;

export class Blobs {
  readonly #byNumber = new Map<number, Container>();
  readonly #byName = new Map<string, Container>();
  #lastOrigin: BlobOrigin | undefined;
  readonly #contents: Contents;
  readonly #counters: Counters;

  constructor(contents: Contents, counters: Counters) {
    this.#contents = contents;
    this.#counters = counters;
  }

  loadBlob(rowKey: string, row: BlobRow): void {
    const { container: number, key } = splitBlobRow(rowKey);
    const container = this.#obtain(number);
    const content = this.#contents.loadReference(row.manifest);
    const name = detached(row.name);
    container.entries.set(name, { content, origin: this.#shared(row.origin) });
    if (key.includes('%%')) container.longKeys.set(name, key);
  }

  loadContainer(row: ContainerRow): void {
    const container = this.#obtain(row.number);
    Object.assign(container, { name: row.name, createdAtMs: row.createdAtMs, sizeBytes: row.sizeBytes });
    this.#byName.set(row.name, container);
  }

  loadDying(row: { readonly number: number }): void {
    this.#obtain(row.number);
  }

  containers(): ContainerRecord[] {
    return [...this.#byName.entries()].map(([name, { createdAtMs, sizeBytes, entries }]) => ({
      name,
      createdAtMs,
      blobs: entries.size,
      sizeBytes,
    }));
  }

  createContainer(turn: Turn, name: string): Refusal | undefined {
    if (!isValidContainerName(name)) {
      return refuseProperty(
        'container',
        name,
        '3 to 63 lower-case letters, digits and single dashes are wanted.',
      );
    }
    if (this.#byName.has(name)) return refuse('ContainerExists', `The container ${name} already exists.`);
    this.#create(turn, name);
    return undefined;
  }

  /** The name is free at once; the blobs of a large container go slice by slice. */
  deleteContainer(turn: Turn, name: string): Refusal | undefined {
    const container = this.#byName.get(name);
    if (container === undefined) return refuse('ContainerNotFound', `There is no container ${name}.`);
    this.#byName.delete(name);
    container.name = undefined;
    turn.delete(containerRow(name));
    this.#letGo(turn, container);
    return undefined;
  }

  put(turn: Turn, command: BlobPutCommand): Refusal | undefined {
    const refusal = this.#checkPut(command);
    if (refusal !== undefined) return refusal;
    const container = this.#byName.get(command.container) ?? this.#create(turn, command.container);
    for (const blob of command.blobs) this.#putOne(turn, container, blob);
    this.#putContainerRow(turn, container);
    turn.effect({ kind: 'blobsChanged' });
    return undefined;
  }

  /** Names that are not there are left out; refused only where none is. */
  deleteBlobs(turn: Turn, name: string, names: readonly string[]): Refusal | undefined {
    const container = this.#byName.get(name);
    if (container === undefined) return refuse('ContainerNotFound', `There is no container ${name}.`);
    const present = [...new Set(names)].filter((blob) => container.entries.has(blob));
    if (present.length === 0 && names.length > 0) {
      return refuse('BlobNotFound', `The container ${name} has no blob ${names[0] ?? ''}.`);
    }
    for (const blob of present) this.#remove(turn, container, blob);
    this.#putContainerRow(turn, container);
    turn.effect({ kind: 'blobsChanged' });
    return undefined;
  }

  sweep(turn: Turn): void {
    const dying = [...this.#byNumber.values()].filter((container) => container.name === undefined);
    for (const container of dying.sort((a, b) => a.number - b.number)) this.#letGo(turn, container);
  }

  /** True where a deleted container still has blobs. */
  hasDying(): boolean {
    return this.#byNumber.size > this.#byName.size;
  }

  /** Where the rows of a container's blobs are; undefined if there is no such container. */
  rowPrefix(name: string): string | undefined {
    const container = this.#byName.get(name);
    return container === undefined ? undefined : blobRows(container.number);
  }

  /** Of an escaped prefix, as much as keys hold: a listing checks the rest by name. */
  keyPrefix(escaped: string): string {
    return escaped.slice(0, BLOB_KEY_LENGTH_MAX);
  }

  /** The row of a blob; undefined if there is none. */
  rowKey(name: string, blob: string): string | undefined {
    const container = this.#byName.get(name);
    if (!container?.entries.has(blob)) return undefined;
    return this.#keyOf(container, blob);
  }

  /** A row as people read it. Undefined where its content went since the row was read. */
  record(container: string, row: BlobRow): BlobRecord | undefined {
    const content = this.#contents.get(row.manifest);
    if (content === undefined) return undefined;
    return {
      container,
      name: row.name,
      sizeBytes: content.sizeBytes,
      manifest: row.manifest,
      modifiedAtMs: row.modifiedAtMs,
      holders: this.#contents.holdersOf(content),
      ...(row.origin === undefined ? {} : { origin: row.origin }),
    };
  }

  /** Content of a blob by name, from memory alone. */
  contentOf(name: string, blob: string): Content | undefined {
    return this.#byName.get(name)?.entries.get(blob)?.content;
  }

  #checkPut({ container, blobs, createContainer }: BlobPutCommand): Refusal | undefined {
    if (!this.#byName.has(container)) {
      if (!createContainer) return refuse('ContainerNotFound', `There is no container ${container}.`);
      if (!isValidContainerName(container)) {
        return refuseProperty(
          'container',
          container,
          '3 to 63 lower-case letters, digits and single dashes are wanted.',
        );
      }
    }
    if (blobs.length > BLOBS_PER_COMMAND_MAX) {
      return refuse('TooLarge', `One command puts at most ${BLOBS_PER_COMMAND_MAX} blobs.`);
    }
    for (const blob of blobs) {
      const refusal = this.#checkBlob(blob);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  #checkBlob({ name, sizeBytes, manifest, holders }: BlobPut): Refusal | undefined {
    if (!isValidBlobName(name) || escapeBlobName(name) === undefined) {
      return refuseProperty(
        'blob',
        name,
        'a name has 1 to 1,024 characters in components that are not empty, `.` or `..`.',
      );
    }
    if (!isManifest(manifest))
      return refuseProperty('manifest', manifest, 'it is no SHA-256 in hexadecimal.');
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > BLOB_BYTES_MAX) {
      return refuse(
        'TooLarge',
        `The blob ${name} is larger than ${BLOB_BYTES_MAX} bytes, or its size is no count.`,
      );
    }
    return this.#contents.checkNaming(manifest, sizeBytes, holders, `the blob ${name}`);
  }

  #putOne(turn: Turn, container: Container, { name, sizeBytes, manifest, holders, origin }: BlobPut): void {
    const before = container.entries.get(name);
    if (before !== undefined && isStale(origin, before.origin)) return;
    // The new content is named before the old one is let go: they may be the same.
    const content = this.#contents.reference(turn, manifest, sizeBytes, holders);
    const key = this.#keyOf(container, name) ?? this.#newLongKey(turn, container, name);
    if (before !== undefined) this.#forget(turn, container, before);
    container.entries.set(before === undefined ? detached(name) : name, {
      content,
      origin: this.#shared(origin),
    });
    container.sizeBytes += content.sizeBytes;
    const row: BlobRow = {
      name,
      manifest,
      modifiedAtMs: turn.timeMs,
      ...(origin === undefined ? {} : { origin }),
    };
    turn.put(key, row);
  }

  #remove(turn: Turn, container: Container, name: string): void {
    const entry = container.entries.get(name);
    const key = this.#keyOf(container, name);
    if (entry === undefined || key === undefined) return;
    this.#forget(turn, container, entry);
    container.entries.delete(name);
    container.longKeys.delete(name);
    turn.delete(key);
  }

  #forget(turn: Turn, container: Container, entry: Entry): void {
    container.sizeBytes -= entry.content.sizeBytes;
    this.#contents.release(turn, entry.content);
  }

  #letGo(turn: Turn, container: Container): void {
    container.dying ??= [...container.entries.keys()].sort();
    for (const name of container.dying.splice(-CONTAINER_DELETE_SLICE)) this.#remove(turn, container, name);
    if (container.entries.size === 0) {
      this.#byNumber.delete(container.number);
      turn.delete(dyingContainerRow(container.number));
    } else {
      turn.put(dyingContainerRow(container.number), { number: container.number });
    }
    turn.effect({ kind: 'blobsChanged' });
  }

  /** Undefined for a long name that has no key yet. */
  #keyOf(container: Container, name: string): string | undefined {
    const escaped = escapeBlobName(name) ?? '';
    const key = escaped.length <= BLOB_KEY_LENGTH_MAX ? escaped : container.longKeys.get(name);
    return key === undefined ? undefined : blobRows(container.number) + key;
  }

  #newLongKey(turn: Turn, container: Container, name: string): string {
    const key = longBlobKey(escapeBlobName(name) ?? '', this.#counters.take(turn, 'longName'));
    container.longKeys.set(name, key);
    return blobRows(container.number) + key;
  }

  #create(turn: Turn, name: string): Container {
    const container = this.#obtain(this.#counters.take(turn, 'container'));
    container.name = name;
    container.createdAtMs = turn.timeMs;
    this.#byName.set(name, container);
    this.#putContainerRow(turn, container);
    turn.effect({ kind: 'blobsChanged' });
    return container;
  }

  #putContainerRow(turn: Turn, { number, name, createdAtMs, sizeBytes }: Container): void {
    if (name !== undefined) turn.put(containerRow(name), { number, name, createdAtMs, sizeBytes });
  }

  /** The outputs of one execution come one after the other and have one origin among them. */
  #shared(origin: BlobOrigin | undefined): BlobOrigin | undefined {
    if (origin === undefined) return undefined;
    const { pool, job, task, epoch } = origin;
    const last = this.#lastOrigin;
    if (last?.pool !== pool || last.job !== job || last.task !== task || last.epoch !== epoch) {
      this.#lastOrigin = { pool: last?.pool === pool ? last.pool : detached(pool), job, task, epoch };
    }
    return this.#lastOrigin;
  }

  #obtain(number: number): Container {
    let container = this.#byNumber.get(number);
    if (container === undefined) {
      container = {
        number,
        name: undefined,
        createdAtMs: 0,
        sizeBytes: 0,
        entries: new Map(),
        longKeys: new Map(),
        dying: undefined,
      };
      this.#byNumber.set(number, container);
    }
    return container;
  }
}

/** An earlier execution of the same task comes late with its outputs. Those of other tasks replace each other freely. */
function isStale(origin: BlobOrigin | undefined, before: BlobOrigin | undefined): boolean {
  if (origin === undefined || before === undefined) return false;
  const sameTask =
    idKey(origin.pool) === idKey(before.pool) && origin.job === before.job && origin.task === before.task;
  return sameTask && origin.epoch < before.epoch;
}
