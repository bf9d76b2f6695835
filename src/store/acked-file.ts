/**
 * A second witness beside the database: how far it was synced. If the database later turns out to be behind, something
 * promised was lost (a log file deleted, truncated or damaged at its end), which LevelDB itself would not notice.
 *
 * Marks are written without fsync, some milliseconds after the synced batches that they tell of: a process kill takes
 * nothing from the page cache, and what the file lags behind the database proves less but never something false.
 * It is fixed slots, overwritten in place; a slot that fails its checksum is ignored for the same reason.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { STORE_ACKED_GATHER_MS } from '../lib/limits.ts';
import type { Acked, GroupAcked } from './engine.ts';

/** Checksum, length, then JSON: a group id of 256 characters (768 bytes) and three integers fit. */
const SLOT_BYTES = 1024;
const SLOT_HEADER_BYTES = 6;
/** Slot 0 is the store's; the groups' follow in no order. */
const FIRST_GROUP_SLOT = 1;

export class AckedFile {
  readonly #handle: FileHandle;
  readonly #slots = new Map<string, number>();
  readonly #freeSlots: number[] = [];
  /** What waits to be written, by slot; a later one for the same slot replaces an earlier. Undefined: nothing. */
  #waiting = new Map<number, object | undefined>();
  #slotCount = FIRST_GROUP_SLOT;
  #gathering: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Makes the file, durably, with nothing acked. */
  static async create(path: string): Promise<AckedFile> {
    const handle = await open(path, 'w+', 0o600);
    await handle.write(encodeSlot({ batch: 0 }), 0, SLOT_BYTES, 0);
    await handle.sync();
    return new AckedFile(handle);
  }

  /** Rejects with ENOENT where there is none. */
  static async open(path: string): Promise<{ file: AckedFile; acked: Acked }> {
    const handle = await open(path, 'r+');
    const bytes = await handle.readFile();
    const file = new AckedFile(handle);
    return { file, acked: file.#load(bytes) };
  }

  note(acked: Acked): void {
    this.#waiting.set(0, { batch: acked.batch });
    for (const mark of acked.groups) this.#waiting.set(this.#slotOf(mark.group), mark);
    this.#gathering ??= setTimeout(() => this.#flush(), STORE_ACKED_GATHER_MS);
  }

  /** On disk when it resolves. */
  async forget(group: string): Promise<void> {
    const slot = this.#slots.get(group);
    if (slot === undefined) return;
    this.#slots.delete(group);
    this.#waiting.set(slot, undefined);
    await this.#written();
    await this.#handle.datasync();
    this.#freeSlots.push(slot);
  }

  async close(): Promise<void> {
    await this.#written();
    await this.#handle.close();
  }

  #load(bytes: Buffer): Acked {
    const groups: GroupAcked[] = [];
    const batch = decodeSlot<{ batch: number }>(bytes, 0)?.batch ?? 0;
    this.#slotCount = Math.max(FIRST_GROUP_SLOT, Math.ceil(bytes.length / SLOT_BYTES));
    for (let slot = FIRST_GROUP_SLOT; slot < this.#slotCount; slot++) {
      const mark = decodeSlot<GroupAcked>(bytes, slot);
      if (mark === undefined) {
        this.#freeSlots.push(slot);
      } else {
        this.#slots.set(mark.group, slot);
        groups.push(mark);
      }
    }
    return { batch, groups };
  }

  #slotOf(group: string): number {
    let slot = this.#slots.get(group);
    if (slot === undefined) {
      slot = this.#freeSlots.pop() ?? this.#slotCount++;
      this.#slots.set(group, slot);
    }
    return slot;
  }

  async #written(): Promise<void> {
    this.#flush();
    while (this.#writing !== undefined) await this.#writing;
  }

  #flush(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** A failure is not reported: it costs a proof, not data, and a full disk is told by the database itself. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const runs = runsOf(this.#waiting);
      this.#waiting = new Map();
      for (const { slot, bytes } of runs)
        await this.#handle.write(bytes, 0, bytes.length, slot * SLOT_BYTES).catch(() => undefined);
    }
  }
}

/** Slots that lie side by side are one write. */
function runsOf(
  waiting: ReadonlyMap<number, object | undefined>,
): readonly { readonly slot: number; readonly bytes: Buffer }[] {
  const runs: { slot: number; slots: Buffer[] }[] = [];
  for (const [slot, value] of [...waiting].sort(([a], [b]) => a - b)) {
    const last = runs[runs.length - 1];
    const bytes = value === undefined ? Buffer.alloc(SLOT_BYTES) : encodeSlot(value);
    if (last !== undefined && last.slot + last.slots.length === slot) last.slots.push(bytes);
    else runs.push({ slot, slots: [bytes] });
  }
  return runs.map(({ slot, slots }) => ({ slot, bytes: Buffer.concat(slots) }));
}

function encodeSlot(value: object): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  const length = slot.write(JSON.stringify(value), SLOT_HEADER_BYTES, 'utf8');
  slot.writeUInt16LE(length, 4);
  slot.writeUInt32LE(crc32(slot.subarray(4)), 0);
  return slot;
}

function decodeSlot<T>(bytes: Buffer, index: number): T | undefined {
  const slot = bytes.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES);
  if (slot.length < SLOT_BYTES || crc32(slot.subarray(4)) !== slot.readUInt32LE(0)) return undefined;
  const length = slot.readUInt16LE(4);
  return length === 0
    ? undefined
    : (JSON.parse(slot.toString('utf8', SLOT_HEADER_BYTES, SLOT_HEADER_BYTES + length)) as T);
}
