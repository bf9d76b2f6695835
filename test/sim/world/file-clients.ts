/** Clients that store blobs, replace, delete and read them, at one machine after another. Each name has one writer. */
import { Readable } from 'node:stream';
import { asShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import { BLOBS, bytesOf, OUTPUTS, outputOf, type Version, versionOf } from './file-contents.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import type { Life } from './sim-machine.ts';

const WRITERS = 3;
const NAMES_EACH = 3;
const READERS = 2;
/** A longer world does not see more changes, but later ones. */
const PAUSES = 20;
const PAUSE_MS_MIN = 1_000;
/** Different blocks that contents are made of. */
const BLOCKS = 6;
const BLOCKS_MAX = 12;
/** Of a read that fails while much is down, how often it is tried. */
const READ_TRIES = 3;
const RETRY_MS = 500;

interface KnownBlob {
  readonly name: string;
  /** All that anybody ever stored or began to store under the name. */
  readonly versions: Version[];
  /** What was last answered to its writer. */
  last: 'nothing' | 'stored' | 'deleted';
  /** A change is under way. */
  busy: boolean;
}

export interface FileClientsOptions {
  readonly requests: Requests;
  readonly random: Prng;
  readonly referee: Referee;
  readonly chunkBytes: number;
}

export class FileClients {
  readonly #options: FileClientsOptions;
  readonly #blobs: KnownBlob[] = [];
  /** Epochs of the runs whose outputs are there, by task. */
  readonly outputs = new Map<string, number>();
  #pauseMsMax = PAUSE_MS_MIN;

  constructor(options: FileClientsOptions) {
    this.#options = options;
  }

  /** URLs of blobs that are there and stay. */
  get inputs(): readonly string[] {
    return this.#blobs
      .filter(({ last, busy }) => last === 'stored' && !busy)
      .map(({ name }) => `mesh://${BLOBS}/${name}`);
  }

  isVersion(url: string, bytes: Uint8Array): boolean {
    const blob = this.#blobs.find(({ name }) => url === `mesh://${BLOBS}/${name}`);
    return blob !== undefined && versionOf(bytes, blob.versions) !== undefined;
  }

  begin(untilMs: number): void {
    const { requests, random } = this.#options;
    this.#pauseMsMax = Math.max(PAUSE_MS_MIN, Math.round((untilMs - requests.nowMs) / PAUSES));
    for (let writer = 0; writer < WRITERS; writer++) {
      const own = random.fork();
      const blobs = Array.from({ length: NAMES_EACH }, (_, number) => newBlob(`${writer}/${number}`));
      this.#blobs.push(...blobs);
      requests.at(requests.nowMs + own.next() * this.#pauseMsMax, () => this.#write(blobs, own, untilMs));
    }
    for (let reader = 0; reader < READERS; reader++) {
      const own = random.fork();
      requests.at(requests.nowMs + own.next() * this.#pauseMsMax, () => this.#readOn(own, untilMs));
    }
  }

  // --- Writers ------------------------------------------------------------------------------------------------------

  async #write(blobs: readonly KnownBlob[], random: Prng, untilMs: number): Promise<void> {
    const { requests } = this.#options;
    while (requests.nowMs < untilMs) {
      const blob = random.pick(blobs);
      blob.busy = true;
      if (blob.last === 'stored' && random.chance(0.2)) await this.#delete(blob);
      else await this.#store(blob, random);
      blob.busy = false;
      await requests.pause(random.int(0, this.#pauseMsMax));
    }
  }

  /** An attempt that was given up may succeed later, and put its version in the place of a newer one: nobody forbade it to. */
  async #store(blob: KnownBlob, random: Prng): Promise<void> {
    const { requests, chunkBytes, referee } = this.#options;
    const version: Version = {
      name: blob.name,
      number: blob.versions.length,
      blocks: Array.from({ length: random.int(0, BLOCKS_MAX) }, () => random.int(0, BLOCKS - 1)),
      blockBytes: chunkBytes,
      restBytes: random.int(0, chunkBytes - 1),
    };
    blob.versions.push(version);
    const bytes = bytesOf(version);
    const { manifest } = await requests.ask(({ files }) => {
      const body = Readable.from(pieces(bytes, chunkBytes), { objectMode: false });
      return filesOf(files).putBlob(BLOBS, blob.name, body, { createContainer: true });
    });
    referee.files?.published(blob.name, manifest);
    blob.last = 'stored';
  }

  async #delete(blob: KnownBlob): Promise<void> {
    const names = [blob.name];
    await this.#options.requests.command(MESH_GROUP, () => ({
      kind: 'blob.delete',
      container: BLOBS,
      names,
    }));
    blob.last = 'deleted';
  }

  // --- Readers ------------------------------------------------------------------------------------------------------

  async #readOn(random: Prng, untilMs: number): Promise<void> {
    const { requests } = this.#options;
    while (requests.nowMs < untilMs) {
      await requests.pause(random.int(0, this.#pauseMsMax));
      const stored = this.#blobs.filter(({ last }) => last === 'stored');
      if (stored.length > 0) await this.#tryRead(random.pick(stored), READ_TRIES);
    }
  }

  /** Every blob that was stored last is there, and what it should be. Rejects where one cannot be read. */
  async readAll(): Promise<void> {
    const { referee } = this.#options;
    for (const blob of this.#blobs) {
      if (blob.last !== 'stored' || referee.files?.isExcused(BLOBS, blob.name)) continue;
      if (!(await this.#tryRead(blob, Number.POSITIVE_INFINITY)))
        referee.fail('F2', `the blob ${blob.name} is gone`);
    }
    for (const [task, epoch] of this.outputs) await this.#readOutput(task, epoch);
  }

  /** S6: the outputs of a task are of the epoch whose outcome was recorded. */
  async #readOutput(task: string, epoch: number): Promise<void> {
    const { referee } = this.#options;
    if (referee.files?.isExcused(OUTPUTS, task)) return;
    const bytes = await this.#bytesOf(OUTPUTS, task, Number.POSITIVE_INFINITY);
    if (bytes?.equals(outputOf(task, epoch)) !== true)
      referee.fail('S6', `${task} ended in epoch ${epoch}, and left "${bytes?.toString()}"`);
  }

  /** False where it could not be read. */
  async #tryRead(blob: KnownBlob, tries: number): Promise<boolean> {
    const bytes = await this.#bytesOf(BLOBS, blob.name, tries);
    if (bytes !== undefined && versionOf(bytes, blob.versions) === undefined)
      this.#options.referee.fail('F1', `${blob.name} is read as ${bytes.length} bytes that nobody stored`);
    return bytes !== undefined;
  }

  /** Undefined where there is no such blob, or not within so many tries. */
  async #bytesOf(container: string, name: string, tries: number): Promise<Buffer | undefined> {
    const { requests } = this.#options;
    for (let left = tries; left > 0; left--) {
      try {
        return await requests.ask(async (life) => readBlob(life, container, name));
      } catch (error) {
        const { code } = asShoalError(error);
        if (code === 'BlobNotFound' && (await this.#isGone(container, name))) return undefined;
        await requests.pause(RETRY_MS);
      }
    }
    return undefined;
  }

  /** Its name, not only a copy of it. */
  async #isGone(container: string, name: string): Promise<boolean> {
    try {
      await this.#options.requests.query(MESH_GROUP, 'blob.get', { container, name });
      return false;
    } catch (error) {
      const { code } = asShoalError(error);
      return code === 'BlobNotFound' || code === 'ContainerNotFound';
    }
  }
}

function newBlob(name: string): KnownBlob {
  return { name, versions: [], last: 'nothing', busy: false };
}

function filesOf(files: Life['files']): NonNullable<Life['files']> {
  if (files === undefined) throw new Error('a world without files has clients for them');
  return files;
}

async function readBlob({ files }: Life, container: string, name: string): Promise<Buffer> {
  const { body } = await filesOf(files).openBlob(container, name, undefined);
  const read: Buffer[] = [];
  for await (const piece of body) read.push(Buffer.from(piece));
  return Buffer.concat(read);
}

/** Of odd lengths. */
function* pieces(bytes: Buffer, chunkBytes: number): Generator<Buffer> {
  const length = Math.ceil(chunkBytes * 1.7);
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
