/**
 * Contents by manifest: how many blobs and application packages name one, and which machines hold all of it. Manifests with the same holders
 * share one `HolderSet`, of which there are about as many as pairs of machines; so what a lost machine held, and what
 * has too few copies, is found by looking at sets and not at a million manifests.
 */
import { detached } from '../../../src/lib/detached.ts';
import type { MachineId } from '../../../src/model/ids.ts';
import { type Refusal, refuse } from '../refusal.ts';
import type { Members } from './members.ts';
import { manifestRow } from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

interface HolderSet {
  /** Machines' numbers, ascending. Numbers of machines that left stay in; they name nobody any more. */
  readonly numbers: readonly number[];
  readonly contents: Set<Content>;
}

export interface Content {
  readonly manifest: string;
  sizeBytes: number;
  /** Blobs and packages that name it. At 0 it is forgotten, and its chunks may be collected. */
  references: number;
  holders: HolderSet;
}

interface ContentRow {
  readonly manifest: string;
  readonly sizeBytes: number;
  readonly holders: readonly number[];
}

export interface HeldContent {
  readonly manifest: string;
  readonly sizeBytes: number;
  readonly holders: readonly MachineId[];
}

const MANIFEST_SHAPE = /^[0-9a-f]{64}$/;

export function isManifest(text: string): boolean {
  return MANIFEST_SHAPE.test(text);
}

/** Of a content whose holders are not known yet, for as long as a put or a load takes. */
const HELD_BY_NOBODY: HolderSet = { numbers: [], contents: new Set() };

export class Contents {
  readonly #byManifest = new Map<string, Content>();
  readonly #sets = new Map<string, HolderSet>();
  readonly #members: Members;

  constructor(members: Members) {
    this.#members = members;
  }

  /** Blob rows come before content rows in key order, and name contents that are not there yet. */
  loadReference(manifest: string): Content {
    const content = this.#obtain(manifest, 0);
    content.references += 1;
    return content;
  }

  load(row: ContentRow): void {
    const content = this.#obtain(row.manifest, row.sizeBytes);
    content.sizeBytes = row.sizeBytes;
    this.#hold(content, row.holders);
  }

  get size(): number {
    return this.#byManifest.size;
  }

  get(manifest: string): Content | undefined {
    return this.#byManifest.get(manifest);
  }

  /** Why no name can be given to a content, if none can. `what`: what would name it. */
  checkNaming(
    manifest: string,
    sizeBytes: number,
    holders: readonly MachineId[],
    what: string,
  ): Refusal | undefined {
    const known = this.get(manifest);
    if (known !== undefined && known.sizeBytes !== sizeBytes) {
      return refuseProperty(
        'sizeBytes',
        String(sizeBytes),
        `the manifest's content has ${known.sizeBytes} bytes.`,
      );
    }
    // A name without content would be one that nobody can ever read.
    const held = known !== undefined && this.holdersOf(known).length > 0;
    if (!held && !holders.some((machine) => this.#members.get(machine) !== undefined)) {
      return refuse('MachineNotFound', `No machine of the mesh holds the content of ${what}.`);
    }
    return undefined;
  }

  /** One more name for it, and these machines hold it. */
  reference(turn: Turn, manifest: string, sizeBytes: number, holders: readonly MachineId[]): Content {
    const content = this.#obtain(manifest, sizeBytes);
    content.references += 1;
    this.changeHolders(turn, content, holders, []);
    return content;
  }

  /** One name less. */
  release(turn: Turn, content: Content): void {
    content.references -= 1;
    if (content.references > 0) return;
    this.#drop(content);
    this.#byManifest.delete(content.manifest);
    turn.delete(manifestRow(content.manifest));
  }

  changeHolders(turn: Turn, content: Content, add: readonly MachineId[], remove: readonly MachineId[]): void {
    const removed = new Set(remove);
    const numbers = new Set<number>();
    for (const machine of [...this.holdersOf(content), ...add]) {
      const number = this.#members.get(machine)?.number;
      if (number !== undefined && !removed.has(machine)) numbers.add(number);
    }
    this.#hold(
      content,
      [...numbers].sort((a, b) => a - b),
    );
    const { manifest, sizeBytes, holders } = content;
    turn.put(manifestRow(manifest), { manifest, sizeBytes, holders: holders.numbers });
  }

  holdersOf(content: Content): MachineId[] {
    return this.#machinesOf(content.holders);
  }

  /** Manifests of which the machine holds all. */
  *heldBy(machine: MachineId): IterableIterator<string> {
    const number = this.#members.get(machine)?.number;
    if (number === undefined) return;
    for (const set of this.#sets.values()) {
      if (!set.numbers.includes(number)) continue;
      for (const content of set.contents) yield content.manifest;
    }
  }

  /** Up to `limit` contents with fewer than `copies` live holders, and one at least to copy from. */
  underCopied(wanted: {
    readonly limit: number;
    readonly copies: number;
    readonly alive: (machine: MachineId) => boolean;
    readonly passOver: (manifest: string) => boolean;
  }): HeldContent[] {
    const { limit, copies, alive, passOver } = wanted;
    const found: HeldContent[] = [];
    for (const set of this.#sets.values()) {
      const holders = this.#machinesOf(set).filter(alive);
      if (holders.length === 0 || holders.length >= copies) continue;
      for (const { manifest, sizeBytes } of set.contents) {
        if (found.length >= limit) return found;
        if (!passOver(manifest)) found.push({ manifest, sizeBytes, holders });
      }
    }
    return found;
  }

  #machinesOf(set: HolderSet): MachineId[] {
    const machines: MachineId[] = [];
    for (const number of set.numbers) {
      const member = this.#members.byNumber(number);
      if (member !== undefined) machines.push(member.id);
    }
    return machines;
  }

  #obtain(manifest: string, sizeBytes: number): Content {
    const known = this.#byManifest.get(manifest);
    if (known !== undefined) return known;
    const own = detached(manifest);
    const content: Content = { manifest: own, sizeBytes, references: 0, holders: HELD_BY_NOBODY };
    this.#byManifest.set(own, content);
    return content;
  }

  #hold(content: Content, numbers: readonly number[]): void {
    this.#drop(content);
    content.holders = this.#setOf(numbers);
    content.holders.contents.add(content);
  }

  #drop(content: Content): void {
    const { holders } = content;
    holders.contents.delete(content);
    if (holders.contents.size === 0 && holders !== HELD_BY_NOBODY) this.#sets.delete(holders.numbers.join());
  }

  #setOf(numbers: readonly number[]): HolderSet {
    const key = numbers.join();
    let set = this.#sets.get(key);
    if (set === undefined) {
      set = { numbers, contents: new Set() };
      this.#sets.set(key, set);
    }
    return set;
  }
}
