import { describe, expect, it } from 'vitest';
import {
  decodeManifestNode,
  encodeManifest,
  hashOf,
  type Manifest,
  resolveManifest,
} from '../../../agent/files/manifest.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { fc } from '../../support/properties.ts';
import { failureCode } from './temporary-directory.ts';

function manifestOf(count: number): Manifest {
  const chunks = Array.from({ length: count }, (_, i) => hashOf(Buffer.from(String(i))));
  return { sizeBytes: count * 1000, chunkBytes: 1000, chunks };
}

function holderOf(chunks: readonly Uint8Array[]): (hash: string) => Promise<Uint8Array | undefined> {
  const held = new Map(chunks.map((chunk) => [hashOf(chunk), chunk]));
  return async (hash) => held.get(hash);
}

describe('a manifest', () => {
  it.each([0, 1, 3, 40, 900])(
    'of %i chunks is found again by one hash, over as many levels as it takes',
    async (count) => {
      const manifest = manifestOf(count);
      const encoded = encodeManifest(manifest, 1000);
      expect(encoded.every((chunk) => chunk.length <= 1000)).toBe(true);
      const root = hashOf(encoded.at(-1) ?? Buffer.alloc(0));
      const found = await resolveManifest(root, holderOf(encoded));
      const manifestChunks = [...new Set(encoded.map(hashOf))].sort();
      expect(found.kind === 'found' && found.manifest).toEqual(manifest);
      expect(found.kind === 'found' && [...found.manifestChunks].sort()).toEqual(manifestChunks);
    },
  );

  it('names the chunk of its own that is missing', async () => {
    const encoded = encodeManifest(manifestOf(100), 1000);
    const root = hashOf(encoded.at(-1) ?? Buffer.alloc(0));
    const found = await resolveManifest(root, holderOf(encoded.slice(1)));
    expect(found).toEqual({ kind: 'missing', chunk: hashOf(encoded[0] ?? Buffer.alloc(0)) });
  });

  it('has one encoding', () => {
    const { sizeBytes, chunkBytes, chunks } = manifestOf(5);
    expect(encodeManifest({ chunks, chunkBytes, sizeBytes })).toEqual(encodeManifest(manifestOf(5)));
  });

  it('from a stranger is a manifest or refused, never anything else', () => {
    const [honest = Buffer.alloc(0)] = encodeManifest(manifestOf(3));
    const edits = fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat(honest.length), (changes, length) => {
        const bytes = Buffer.from(honest).subarray(0, length + 20);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          const { sizeBytes, chunkBytes, chunks } = decodeManifestNode(bytes);
          expect(chunks.length).toBe(Math.ceil(sizeBytes / chunkBytes));
        } catch (error) {
          expect(error instanceof ShoalError && error.code).toBe('InvalidPropertyValue');
        }
      }),
    );
  });

  it('that claims to be a manifest of itself is refused', async () => {
    const [inner = Buffer.alloc(0)] = encodeManifest(manifestOf(1));
    inner.writeUInt8(2, 8);
    const outer = Buffer.from(inner);
    // Level 2 whose content says level 2 again.
    const node = encodeManifest({ sizeBytes: outer.length, chunkBytes: 1000, chunks: [hashOf(outer)] })[0];
    node?.writeUInt8(2, 8);
    const chunks = [outer, node ?? Buffer.alloc(0)];
    expect(await failureCode(resolveManifest(hashOf(chunks[1] ?? outer), holderOf(chunks)))).toBe(
      'InvalidPropertyValue',
    );
  });
});
