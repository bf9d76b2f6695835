/** Blobs and application packages of the mesh: contents with names that the mesh group holds. */

import type { Readable } from 'node:stream';
import { BLOBS_PER_COMMAND_MAX, PAGE_ITEMS_MAX, UNNAMED_CONTENT_MS } from '../../src/lib/limits.ts';
import type { ApplicationRecord } from '../../src/model/application.ts';
import type { BlobOrigin, BlobRecord } from '../../src/model/blob.ts';
import type { BlobPut, MeshCommand } from '../../src/model/commands.ts';
import type { ByteRange, CallOptions } from '../../src/model/control.ts';
import { type MachineId, MESH_GROUP, peerOfMachine } from '../../src/model/ids.ts';
import { unwrap } from '../../src/model/outcome.ts';
import { lengthOfRange } from './byte-range.ts';
import type { ChunkStore } from './chunk-store.ts';
import type { Copies } from './copies.ts';
import type { Fetcher } from './fetcher.ts';
import type { Holds } from './holds.ts';
import type { StoredContent } from './interface.ts';
import type { Surroundings } from './surroundings.ts';

export interface NamedContent {
  readonly name: string;
  readonly content: StoredContent;
  readonly origin?: BlobOrigin;
}

export class Blobs {
  readonly #surroundings: Surroundings;
  readonly #store: ChunkStore;
  readonly #fetcher: Fetcher;
  readonly #copies: Copies;
  readonly #holds: Holds;

  constructor(surroundings: Surroundings, store: ChunkStore, fetcher: Fetcher, copies: Copies, holds: Holds) {
    this.#surroundings = surroundings;
    this.#store = store;
    this.#fetcher = fetcher;
    this.#copies = copies;
    this.#holds = holds;
  }

  async ingest(body: Readable, signal?: AbortSignal): Promise<StoredContent> {
    const { manifest, manifestHash, release } = await this.#store.ingest(body, signal);
    this.#holds.hold(manifestHash, UNNAMED_CONTENT_MS, release);
    return { manifest: manifestHash, sizeBytes: manifest.sizeBytes };
  }

  async put(
    container: string,
    name: string,
    body: Readable,
    options: CallOptions & { readonly createContainer?: boolean } = {},
  ): Promise<BlobRecord> {
    const content = await this.ingest(body, options.signal);
    await this.#name(container, [{ name, content }], options.createContainer ?? false, options);
    return this.#surroundings.coordinator.router.query(
      MESH_GROUP,
      'blob.get',
      { container, name },
      callOf(options),
    );
  }

  async putPackage(
    application: string,
    version: string,
    body: Readable,
    options: CallOptions & { readonly makeDefault?: boolean } = {},
  ): Promise<ApplicationRecord> {
    const content = await this.ingest(body, options.signal);
    await this.#copyAndName([content], options, ([holders = []]) => ({
      kind: 'application.put',
      application,
      version,
      manifest: content.manifest,
      sizeBytes: content.sizeBytes,
      holders,
      makeDefault: options.makeDefault ?? false,
    }));
    const { router } = this.#surroundings.coordinator;
    return router.query(MESH_GROUP, 'application.get', { application }, callOf(options));
  }

  /** In commands of at most BLOBS_PER_COMMAND_MAX; the container is made where it is missing. */
  async publish(container: string, blobs: readonly NamedContent[], signal?: AbortSignal): Promise<void> {
    const options = signal === undefined ? {} : { signal };
    for (let at = 0; at < blobs.length; at += BLOBS_PER_COMMAND_MAX) {
      await this.#name(container, blobs.slice(at, at + BLOBS_PER_COMMAND_MAX), true, options);
    }
  }

  async open(
    container: string,
    name: string,
    range: ByteRange | undefined,
    options: CallOptions = {},
  ): Promise<{ record: BlobRecord; body: Readable }> {
    const { router } = this.#surroundings.coordinator;
    const record = await router.query(MESH_GROUP, 'blob.get', { container, name }, callOf(options));
    const { manifest, sizeBytes, holders } = record;
    const wanted = lengthOfRange(range, sizeBytes);
    const hints = holders.map(peerOfMachine);
    const body = await this.#fetcher.stream(manifest, sizeBytes, wanted, hints, options.signal);
    return { record, body };
  }

  async list(container: string, prefix: string, signal?: AbortSignal): Promise<readonly BlobRecord[]> {
    const { router } = this.#surroundings.coordinator;
    const options = signal === undefined ? {} : { signal };
    const records: BlobRecord[] = [];
    let after: string | undefined;
    do {
      const argument = {
        container,
        limit: PAGE_ITEMS_MAX,
        ...(prefix === '' ? {} : { prefix }),
        ...(after === undefined ? {} : { after }),
      };
      const page = await router.query(MESH_GROUP, 'blob.list', argument, options);
      records.push(...page.items);
      after = page.next;
    } while (after !== undefined);
    return records;
  }

  async #name(
    container: string,
    blobs: readonly NamedContent[],
    createContainer: boolean,
    options: CallOptions,
  ): Promise<void> {
    const contents = blobs.map(({ content }) => content);
    await this.#copyAndName(contents, options, (holders) => ({
      kind: 'blob.put',
      container,
      blobs: blobs.map(({ name, content: { manifest, sizeBytes }, origin }, index): BlobPut => {
        const held = holders[index] ?? [];
        return { name, manifest, sizeBytes, holders: held, ...(origin === undefined ? {} : { origin }) };
      }),
      createContainer,
    }));
  }

  /** Copies first, then the name: what the mesh knows has its copies. `naming` gets each content's holders. */
  async #copyAndName(
    contents: readonly StoredContent[],
    options: CallOptions,
    naming: (holders: readonly (readonly MachineId[])[]) => MeshCommand,
  ): Promise<void> {
    const { self, coordinator, collectPeriodMs } = this.#surroundings;
    const copied = await this.#copies.copy(contents, undefined, options.signal);
    const holders = contents.map((_, index) => copied[index] ?? [self]);
    const named = await coordinator.router.propose(MESH_GROUP, naming(holders), callOf(options));
    for (const { manifest } of contents) this.#holds.shorten(manifest, collectPeriodMs);
    unwrap(named);
  }
}

/** Of a caller's options those that a group's router knows. */
export function callOf({ signal, timeoutMs }: CallOptions): CallOptions {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}
