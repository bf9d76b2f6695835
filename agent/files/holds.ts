/**
 * What the collector must leave alone although no blob of the mesh names it: contents that are being stored, read or fetched
 * (in memory, with a time at which they are on their own again), and contents that are kept for somebody until a time (a
 * task's log). The latter are remembered in a file of lines `<manifest> <untilMs>`, appended and synced before anybody is
 * told; a torn last line is passed over, and the file is written anew when it is mostly history.
 */
import type { Clock } from '../../src/lib/clock.ts';
import { diskError } from './disk-error.ts';
import type { LinesFile } from './lines-file.ts';
import { type ChunkHash, isChunkHash } from './manifest.ts';

export class Holds {
  readonly #file: LinesFile;
  readonly #clock: Clock;
  readonly #kept: Map<ChunkHash, number>;
  /** Lines in the file. */
  #lines: number;
  #unwritten: string[] = [];
  /** The last write failed, maybe in the midst of a line, and another append would go on with that line. */
  #isTorn = false;
  #writing: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  /** By name of the content. Not ordered by their ends: a look at all of them every ten minutes is cheap. */
  readonly #held = new Map<string, { untilMs: number; readonly releases: (() => void)[] }>();

  private constructor(file: LinesFile, clock: Clock, kept: Map<ChunkHash, number>, lines: number) {
    this.#file = file;
    this.#clock = clock;
    this.#kept = kept;
    this.#lines = lines;
  }

  static async open(file: LinesFile, clock: Clock): Promise<Holds> {
    const text = await file.read();
    const kept = new Map<ChunkHash, number>();
    const lines = text.split('\n');
    // What follows the last line break was never acknowledged.
    for (const line of lines.slice(0, -1)) {
      const [manifest = '', until = ''] = line.split(' ');
      const untilMs = Number(until);
      if (isChunkHash(manifest) && Number.isFinite(untilMs)) {
        kept.set(manifest, Math.max(untilMs, kept.get(manifest) ?? 0));
      }
    }
    const holds = new Holds(file, clock, kept, lines.length);
    await holds.#rewrite();
    return holds;
  }

  /** Keeps a content until `untilMs` (wall clock), durably when it resolves. A later time wins. */
  keep(manifest: ChunkHash, untilMs: number): Promise<void> {
    const known = this.#kept.get(manifest);
    if (known !== undefined && known >= untilMs) return this.#queued ?? this.#writing;
    this.#kept.set(manifest, untilMs);
    this.#unwritten.push(`${manifest} ${Math.floor(untilMs)}\n`);
    this.#queued ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#queued = undefined;
        this.#writing = this.#append();
        return this.#writing;
      });
    return this.#queued;
  }

  /** Contents whose time is not over. Forgets the others. */
  async keptContents(): Promise<readonly ChunkHash[]> {
    const nowMs = this.#clock.wallMs();
    for (const [manifest, untilMs] of this.#kept) if (untilMs <= nowMs) this.#kept.delete(manifest);
    if (this.#lines > 2 * this.#kept.size + 100) {
      await (this.#queued ?? this.#writing).catch(() => undefined);
      await this.#rewrite();
    }
    return [...this.#kept.keys()];
  }

  /** Holds the pins of all of a content for `forMs` from now; a second hold of the same content lasts as long as the longer one. */
  hold(manifest: ChunkHash, forMs: number, release: () => void): void {
    const untilMs = this.#clock.monotonicMs() + forMs;
    const held = this.#held.get(manifest);
    if (held === undefined) this.#held.set(manifest, { untilMs, releases: [release] });
    else {
      held.untilMs = Math.max(held.untilMs, untilMs);
      held.releases.push(release);
    }
  }

  /** Lengthens a hold that exists; false where there is none. */
  extend(manifest: ChunkHash, forMs: number): boolean {
    const held = this.#held.get(manifest);
    if (held === undefined) return false;
    held.untilMs = Math.max(held.untilMs, this.#clock.monotonicMs() + forMs);
    return true;
  }

  /** The content has got a name: it needs this hold for `forMs` more only. */
  shorten(manifest: ChunkHash, forMs: number): void {
    const held = this.#held.get(manifest);
    if (held !== undefined) held.untilMs = this.#clock.monotonicMs() + forMs;
  }

  /** Lets go of holds whose time is over. */
  expire(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [manifest, { untilMs, releases }] of this.#held) {
      if (untilMs > nowMs) continue;
      this.#held.delete(manifest);
      for (const release of releases) release();
    }
  }

  async close(): Promise<void> {
    await (this.#queued ?? this.#writing).catch(() => undefined);
  }

  async #append(): Promise<void> {
    const lines = this.#unwritten;
    this.#unwritten = [];
    if (this.#isTorn) return this.#rewrite();
    await this.#onDisk(() => this.#file.append(lines.join('')));
    this.#lines += lines.length;
  }

  async #rewrite(): Promise<void> {
    const lines = [...this.#kept].map(([manifest, untilMs]) => `${manifest} ${Math.floor(untilMs)}\n`);
    await this.#onDisk(() => this.#file.replace(lines.join('')));
    this.#lines = lines.length;
  }

  async #onDisk(write: () => Promise<void>): Promise<void> {
    try {
      await write();
      this.#isTorn = false;
    } catch (error) {
      this.#isTorn = true;
      throw diskError(error);
    }
  }
}
