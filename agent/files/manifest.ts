/**
 * A manifest names the chunks of a blob; the hash of its encoding names the blob. Manifests are chunks themselves, so
 * a machine that can fetch chunks by hash can fetch a blob by one hash and nothing else.
 *
 * The encoding is canonical (one manifest, one byte string): magic, level, sizes, then the bare hashes. One that does
 * not fit a chunk (a blob above 32 GiB) is cut into chunks itself and a manifest of level 1 names these, and so on.
 */
import { createHash } from 'node:crypto';
import { ShoalError } from '../../src/lib/errors.ts';
import { BLOB_BYTES_MAX, CHUNK_BYTES } from '../../src/lib/limits.ts';

/** SHA-256 as 64 lower-case hexadecimal digits. */
export type ChunkHash = string;

export interface Manifest {
  readonly sizeBytes: number;
  /** Length of every chunk but the last, which is shorter or as long. 1 to `CHUNK_BYTES`. */
  readonly chunkBytes: number;
  readonly chunks: readonly ChunkHash[];
}

/** A manifest as stored: level 0 describes a blob, level n + 1 the encoding of a manifest of level n. */
export interface ManifestNode extends Manifest {
  readonly level: number;
}

const MAGIC = Buffer.from('shoalm1\n', 'latin1');
const HASH_BYTES = 32;
const HEADER_BYTES = MAGIC.length + 1 + 4 + 8;
/** 32,767 hashes fit a chunk, so level 2 already reaches beyond any disk. */
const LEVEL_MAX = 2;

export function isChunkHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

export function hashOf(bytes: Uint8Array): ChunkHash {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Bytes of chunk `index` of `manifest`. */
export function chunkLength(manifest: Manifest, index: number): number {
  return Math.min(manifest.chunkBytes, manifest.sizeBytes - index * manifest.chunkBytes);
}

/**
 * The chunks that hold `manifest`, root last: its hash is the manifest's. `chunkBytes` bounds each of them
 * (default `CHUNK_BYTES`; smaller in tests).
 */
export function encodeManifest(manifest: Manifest, chunkBytes: number = CHUNK_BYTES): Buffer[] {
  const chunks: Buffer[] = [];
  let encoded = encodeNode({ ...manifest, level: 0 });
  for (let level = 1; encoded.length > chunkBytes; level++) {
    const parts: Buffer[] = [];
    for (let at = 0; at < encoded.length; at += chunkBytes) parts.push(encoded.subarray(at, at + chunkBytes));
    chunks.push(...parts);
    encoded = encodeNode({ level, sizeBytes: encoded.length, chunkBytes, chunks: parts.map(hashOf) });
  }
  return [...chunks, encoded];
}

function encodeNode(node: ManifestNode): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + node.chunks.length * HASH_BYTES);
  let at = MAGIC.copy(bytes);
  at = bytes.writeUInt8(node.level, at);
  at = bytes.writeUInt32BE(node.chunkBytes, at);
  at = bytes.writeBigUInt64BE(BigInt(node.sizeBytes), at);
  for (const hash of node.chunks) at += bytes.write(hash, at, 'hex');
  return bytes;
}

/**
 * Reads a stored manifest, which may come from anybody: throws `InvalidPropertyValue` where sizes and number of hashes
 * do not fit each other or exceed the limits.
 */
export function decodeManifestNode(encoded: Uint8Array): ManifestNode {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw malformed('it does not begin like one');
  }
  const level = bytes.readUInt8(MAGIC.length);
  const chunkBytes = bytes.readUInt32BE(MAGIC.length + 1);
  const sizeBytes = Number(bytes.readBigUInt64BE(MAGIC.length + 5));
  if (level > LEVEL_MAX) throw malformed(`level ${level}`);
  if (chunkBytes < 1 || chunkBytes > CHUNK_BYTES) throw malformed(`chunks of ${chunkBytes} bytes`);
  if (sizeBytes > BLOB_BYTES_MAX) throw malformed(`a blob of ${sizeBytes} bytes`);
  const count = Math.ceil(sizeBytes / chunkBytes);
  if (bytes.length !== HEADER_BYTES + count * HASH_BYTES) {
    throw malformed(`${bytes.length} bytes where ${count} chunks take ${HEADER_BYTES + count * HASH_BYTES}`);
  }
  const chunks: ChunkHash[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += HASH_BYTES) {
    chunks.push(bytes.toString('hex', at, at + HASH_BYTES));
  }
  return { level, sizeBytes, chunkBytes, chunks };
}

/** What came of following a hash down to the manifest of a blob. */
export type ResolvedManifest =
  | {
      readonly kind: 'found';
      readonly manifest: Manifest;
      /** The chunks that hold the manifest itself: whoever keeps the blob keeps these too. */
      readonly manifestChunks: readonly ChunkHash[];
    }
  | { readonly kind: 'missing'; readonly chunk: ChunkHash };

/** Follows `hash` to the blob's manifest; `get` answers undefined for a chunk that is not to be had. */
export async function resolveManifest(
  hash: ChunkHash,
  get: (hash: ChunkHash) => Promise<Uint8Array | undefined>,
): Promise<ResolvedManifest> {
  const manifestChunks = [hash];
  const root = await get(hash);
  if (root === undefined) return { kind: 'missing', chunk: hash };
  let node = decodeManifestNode(root);
  while (node.level > 0) {
    const parts: Uint8Array[] = [];
    for (const [index, chunk] of node.chunks.entries()) {
      const part = await get(chunk);
      if (part === undefined) return { kind: 'missing', chunk };
      if (part.length !== chunkLength(node, index)) throw malformed(`chunk ${chunk} has another length`);
      parts.push(part);
      manifestChunks.push(chunk);
    }
    const inner = decodeManifestNode(Buffer.concat(parts));
    // Each level counts down by one, so a chain of manifests cannot go on for ever.
    if (inner.level !== node.level - 1) throw malformed(`level ${inner.level} below level ${node.level}`);
    node = inner;
  }
  const { sizeBytes, chunkBytes, chunks } = node;
  return { kind: 'found', manifest: { sizeBytes, chunkBytes, chunks }, manifestChunks };
}

function malformed(what: string): ShoalError {
  return new ShoalError('InvalidPropertyValue', `The manifest is malformed: ${what}.`);
}
