/**
 * What must hold of contents, by the world's own look at all disks: a chunk is what its name says, whoever is named for a
 * content has all of it, and nothing that is referred to is removed. The world may lose one disk; contents of which that
 * held the only copy are excused.
 */
import { type ChunkHash, decodeManifestNode, hashOf } from '../../../agent/files/manifest.ts';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import { newestBooks } from './newest-books.ts';
import { Violation } from './referee.ts';
import type { FileWatcher, SimMachine } from './sim-machine.ts';
import type { SimProcess } from './sim-runner.ts';
import type { Timeline } from './timeline.ts';

export class FileReferee implements FileWatcher {
  readonly #machines: readonly SimMachine[];
  readonly #timeline: Timeline;
  /** All chunks of a content, those of its manifest included. */
  readonly #chunksOf = new Map<ChunkHash, readonly ChunkHash[]>();
  /** Manifests of which the disk that was lost had the only copy. */
  readonly #excused = new Set<ChunkHash>();
  /** By machine: what its disk and its books looked like at the last look. */
  readonly #seen = new Map<SimMachine, string>();
  /** Thrown where the world looks, not inside an agent. */
  failure: Violation | undefined;

  constructor(machines: readonly SimMachine[], timeline: Timeline) {
    this.#machines = machines;
    this.#timeline = timeline;
  }

  // --- What disks hold --------------------------------------------------------------------------------------------

  /** F3 on one machine's disk, by its own copy of the mesh's books. */
  audit(machine: SimMachine): void {
    const { fileDisk, life } = machine;
    const mesh = life?.coordinator?.mesh;
    if (fileDisk === undefined || mesh === undefined) return;
    const state = `${machine.id} ${fileDisk.version} ${life?.coordinator.host.replica(MESH_GROUP)?.appliedIndex}`;
    if (this.#seen.get(machine) === state) return;
    this.#seen.set(machine, state);
    for (const manifest of mesh.blobsHeldBy(machine.id)) this.#requireWhole(machine, manifest);
  }

  #requireWhole(machine: SimMachine, manifest: ChunkHash): void {
    const chunks = this.#closureOf(manifest);
    if (chunks === undefined) {
      if (!this.#excused.has(manifest))
        throw new Violation(
          `F3: nobody has all of the manifest ${short(manifest)}, and ${machine.name} is named for it`,
        );
      return;
    }
    for (const hash of chunks)
      if (!hasChunk(machine, hash) && !machine.fileDisk?.isDamaged(hash))
        throw new Violation(
          `F3: ${machine.name} is named for the content ${short(manifest)} and has no chunk ${short(hash)}`,
        );
  }

  // --- What agents do ---------------------------------------------------------------------------------------------

  /** F1. */
  stored(machine: SimMachine, hash: ChunkHash, bytes: Uint8Array): void {
    if (hashOf(bytes) !== hash)
      this.failure ??= new Violation(`F1: ${machine.name} stores other bytes as the chunk ${short(hash)}`);
  }

  /** F3: what a client was told is stored is whole somewhere. */
  published(name: string, manifest: ChunkHash): void {
    const chunks = this.#closureOf(manifest) ?? [];
    const isWhole = (machine: SimMachine): boolean => chunks.every((hash) => hasChunk(machine, hash));
    if ((chunks.length === 0 || !this.#machines.some(isWhole)) && !this.#excused.has(manifest))
      throw new Violation(`F3: ${name} was stored as ${short(manifest)}, and no machine has all of that`);
  }

  /** F2, by whoever knows most of the mesh's books. */
  collected(machine: SimMachine, hash: ChunkHash): void {
    this.#timeline.note(machine.name, () => `removes the chunk ${short(hash)}`);
    for (const manifest of newestBooks(this.#machines)?.blobsHeldBy(machine.id) ?? [])
      if (this.#closureOf(manifest)?.includes(hash) && !machine.fileDisk?.isDamaged(hash))
        this.failure ??= new Violation(
          `F2: ${machine.name} removes the chunk ${short(hash)} of the content ${short(manifest)}, which it is named for`,
        );
  }

  /** F4. `bytesOf`: what was stored under a URL, each version of it. */
  launched({ name, machine, wanted, inputs }: SimProcess): void {
    for (const { httpUrl = '', filePath = '' } of wanted) {
      const bytes = inputs.get(filePath);
      const isThere = bytes !== undefined && this.isVersion(httpUrl, bytes);
      if (!isThere)
        throw new Violation(
          `F4: ${name} starts on ${machine} and finds ${bytes?.length ?? 'no'} bytes in ${filePath} of ${httpUrl}`,
        );
    }
  }

  /** True where these bytes are a version of the blob; set by whoever stores blobs. */
  isVersion: (url: string, bytes: Uint8Array) => boolean = () => true;

  // --- What the world does ----------------------------------------------------------------------------------------

  diskGoes(machine: SimMachine): void {
    for (const manifest of this.#manifestsOn(machine))
      if (!this.#isElsewhere(machine, manifest)) this.#excused.add(manifest);
  }

  /** Chunks of something that the machine is named for, from one of them to the last. `where` in [0, 1). */
  chooseChunks(machine: SimMachine, where: number): readonly ChunkHash[] {
    const named = [...(machine.life?.coordinator?.mesh?.blobsHeldBy(machine.id) ?? [])];
    const chunks = this.#closureOf(named[Math.floor(where * named.length)] ?? '') ?? [];
    return chunks.slice(Math.floor(((where * 1_000) % 1) * chunks.length));
  }

  rot(machine: SimMachine, hashes: readonly ChunkHash[]): void {
    for (const manifest of this.#manifestsOn(machine))
      if (
        this.#closureOf(manifest)?.some((hash) => hashes.includes(hash)) &&
        !this.#isElsewhere(machine, manifest)
      )
        this.#excused.add(manifest);
    for (const hash of hashes) machine.fileDisk?.rot(hash);
    this.#timeline.note(machine.name, () => `has damaged chunks ${hashes.map(short).join(' ')}`);
  }

  // --- The end ----------------------------------------------------------------------------------------------------

  /** Its content may be lost, as far as the newest books tell. */
  isExcused(container: string, name: string): boolean {
    const content = newestBooks(this.#machines)?.blob(container, name);
    return content !== undefined && this.#excused.has(content.manifest);
  }

  /** Contents with fewer copies than there should be, on machines that are there. */
  underCopied(copies: number): readonly string[] {
    const books = newestBooks(this.#machines);
    const members = this.#machines.filter(({ id }) => books?.machine(id) !== undefined);
    const wanted = Math.min(copies, members.length);
    const holders = new Map<ChunkHash, string[]>();
    for (const machine of members)
      for (const manifest of books?.blobsHeldBy(machine.id) ?? [])
        holders.set(manifest, [...(holders.get(manifest) ?? []), machine.name]);
    return [...holders]
      .filter(([manifest, names]) => names.length < wanted && !this.#excused.has(manifest))
      .map(([manifest, names]) => `${short(manifest)} at ${names.join(', ')}`);
  }

  /** Chunks on the machine's disk that nothing refers to there, as far as it knows. */
  unreferenced(machine: SimMachine): readonly ChunkHash[] {
    const named = [...(machine.life?.coordinator?.mesh?.blobsHeldBy(machine.id) ?? [])];
    const referenced = new Set(named.flatMap((manifest) => this.#closureOf(manifest) ?? []));
    return [...(machine.fileDisk?.hashes() ?? [])].filter((hash) => !referenced.has(hash));
  }

  // --- Looking around -----------------------------------------------------------------------------------------------

  /** Contents whose root chunk is on its disk. */
  #manifestsOn(machine: SimMachine): ChunkHash[] {
    return [...(machine.fileDisk?.hashes() ?? [])].filter((hash) => this.#closureOf(hash) !== undefined);
  }

  #isElsewhere(machine: SimMachine, manifest: ChunkHash): boolean {
    const chunks = this.#closureOf(manifest) ?? [];
    return this.#machines.some((other) => other !== machine && chunks.every((hash) => hasChunk(other, hash)));
  }

  /** Undefined for what is no manifest, or not all of one is anywhere. */
  #closureOf(manifest: ChunkHash): readonly ChunkHash[] | undefined {
    const known = this.#chunksOf.get(manifest);
    if (known !== undefined) return known;
    const found = this.#resolve(manifest);
    if (found !== undefined) this.#chunksOf.set(manifest, found);
    return found;
  }

  #resolve(manifest: ChunkHash): readonly ChunkHash[] | undefined {
    const closure = [manifest];
    let encoded = this.#anywhere(manifest);
    while (encoded !== undefined) {
      const { level, chunks } = decoded(encoded) ?? { level: -1, chunks: [] };
      if (level < 0) return undefined;
      closure.push(...chunks);
      if (level === 0) return closure;
      const parts = chunks.map((hash) => this.#anywhere(hash));
      encoded = parts.every((part) => part !== undefined) ? Buffer.concat(parts) : undefined;
    }
    return undefined;
  }

  #anywhere(hash: ChunkHash): Uint8Array | undefined {
    for (const { fileDisk } of this.#machines) {
      const bytes = fileDisk?.sound(hash);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }
}

function hasChunk({ fileDisk }: SimMachine, hash: ChunkHash): boolean {
  return fileDisk?.sound(hash) !== undefined;
}

function decoded(encoded: Uint8Array): ReturnType<typeof decodeManifestNode> | undefined {
  try {
    return decodeManifestNode(encoded);
  } catch {
    return undefined;
  }
}

function short(hash: ChunkHash): string {
  return hash.slice(0, 8);
}
