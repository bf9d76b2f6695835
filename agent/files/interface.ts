/** What the agent's composition and the lifecycle ask of the file services of a machine. */
import type { Readable } from 'node:stream';
import type { BlobOrigin, BlobRecord } from '../../src/model/blob.ts';
import type { FileControl } from '../../src/model/control.ts';

/** A byte string in the chunk store: its manifest's hash names it. */
export interface StoredContent {
  /** SHA-256 of the manifest, hexadecimal. */
  readonly manifest: string;
  readonly sizeBytes: number;
}

export interface FileService extends FileControl {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Cuts a stream into chunks and keeps them here, durably. */
  ingest(body: Readable, signal?: AbortSignal): Promise<StoredContent>;
  /** Brings all chunks of a content here from whoever holds them: many holders at once, rarest first, verified, resumed. */
  fetch(manifest: string, hints: readonly string[], signal?: AbortSignal): Promise<StoredContent>;
  /** The bytes of a content that is here. */
  openContent(manifest: string): Promise<Readable>;
  /** Makes blobs of contents that are here: copies them to other machines, then names them in the mesh group. */
  publish(
    container: string,
    blobs: readonly {
      readonly name: string;
      readonly content: StoredContent;
      readonly origin?: BlobOrigin;
    }[],
    signal?: AbortSignal,
  ): Promise<void>;
  /** Copies a content that no blob names (a task's log) to one other machine, where there is one; both keep it until `untilMs`. */
  spread(content: StoredContent, untilMs: number, signal?: AbortSignal): Promise<void>;
  /** The blobs of a container whose names begin with `prefix`. */
  list(container: string, prefix: string, signal?: AbortSignal): Promise<readonly BlobRecord[]>;
}
