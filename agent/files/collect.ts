/**
 * Removes chunks that nothing refers to, and notices contents that this machine is named for and does not have whole any
 * more (a damaged chunk): those are fetched again, or the mesh is told that this machine is no holder.
 *
 * Safe against what is under way: whatever is stored, fetched, pushed or read is pinned from before its first chunk until
 * `collectPeriodMs` after it has a name, nothing is removed in the first `collectPeriodMs` of an agent's life, and
 * a look begins with a read at the leader, so that a machine which is cut off, and whose copy of the mesh's state may be
 * old, removes nothing.
 */
import { nextTurn, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { MESH_GROUP, peerOfMachine } from '../../src/model/ids.ts';
import type { ChunkStore } from './chunk-store.ts';
import type { Fetcher } from './fetcher.ts';
import type { Holds } from './holds.ts';
import type { ChunkHash } from './manifest.ts';
import type { Surroundings } from './surroundings.ts';

/** A look reads every manifest that it keeps: it takes one part in so many of this machine's time at most. */
const SHARE_OF_TIME = 20;
/** After a damaged chunk was found. */
const MEND_SOON_MS = 30_000;
const MENDS_AT_ONCE = 16;

export class Collector {
  readonly #surroundings: Surroundings;
  readonly #store: ChunkStore;
  readonly #fetcher: Fetcher;
  readonly #holds: Holds;
  #timer: Timer | undefined;
  #mending: Timer | undefined;
  #running = false;
  readonly #aborter = new AbortController();

  constructor(surroundings: Surroundings, store: ChunkStore, fetcher: Fetcher, holds: Holds) {
    this.#surroundings = surroundings;
    this.#store = store;
    this.#fetcher = fetcher;
    this.#holds = holds;
  }

  start(): void {
    this.#arm(this.#surroundings.collectPeriodMs);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#mending?.cancel();
    this.#aborter.abort(new ShoalError('ServerBusy', 'This agent stops.'));
  }

  /** A chunk failed its hash when it was read: whose it was is found out by a look, soon. */
  onDamaged(): void {
    if (this.#aborter.signal.aborted) return;
    this.#mending ??= this.#surroundings.clock.after(MEND_SOON_MS, () => {
      this.#mending = undefined;
      void this.look(false);
    });
  }

  /** One look; `remove`: also remove what nothing refers to. Returns the bytes that came free. */
  async look(remove: boolean): Promise<number> {
    if (this.#running) return 0;
    this.#running = true;
    try {
      return await this.#look(remove);
    } catch (error) {
      this.#surroundings.log.info(
        { error: asShoalError(error).message },
        'unreferenced chunks were not collected',
      );
      return 0;
    } finally {
      this.#running = false;
    }
  }

  async #look(remove: boolean): Promise<number> {
    const { coordinator, self, log } = this.#surroundings;
    await coordinator.router.query(MESH_GROUP, 'settings', {});
    const { mesh } = coordinator;
    // A machine that the mesh does not know (yet) is named for nothing.
    if (mesh?.machine(self) === undefined) return 0;
    this.#holds.expire();
    const named = [...mesh.blobsHeldBy(self)];
    const { closure, broken } = await this.#closureOf(named, await this.#holds.keptContents());
    const freed = remove ? await this.#store.collect((hash) => closure.has(hash)) : 0;
    if (freed > 0) log.info({ freedBytes: freed }, 'unreferenced chunks were removed');
    await this.#mend(broken.slice(0, MENDS_AT_ONCE));
    return freed;
  }

  /** All chunks of these contents, and of the named ones those that are not whole. */
  async #closureOf(
    named: readonly ChunkHash[],
    kept: readonly ChunkHash[],
  ): Promise<{ closure: ReadonlySet<ChunkHash>; broken: readonly ChunkHash[] }> {
    const closure = new Set<ChunkHash>();
    const broken: ChunkHash[] = [];
    for (const [index, manifest] of [...named, ...kept].entries()) {
      if (index % 64 === 0) await nextTurn(this.#surroundings.clock);
      this.#aborter.signal.throwIfAborted();
      closure.add(manifest);
      const whole = await this.#addContent(manifest, closure);
      if (!whole && index < named.length) broken.push(manifest);
    }
    return { closure, broken };
  }

  async #addContent(manifest: ChunkHash, closure: Set<ChunkHash>): Promise<boolean> {
    const resolved = await this.#store.readManifest(manifest);
    if (resolved.kind === 'missing') return false;
    let whole = true;
    for (const hash of [...resolved.manifestChunks, ...resolved.manifest.chunks]) {
      closure.add(hash);
      whole &&= this.#store.has(hash);
    }
    return whole;
  }

  /** Fetches what is missing from other holders; where there is nobody else, the name stays as it is: the disk may come back. */
  async #mend(broken: readonly ChunkHash[]): Promise<void> {
    const { coordinator, self, log } = this.#surroundings;
    for (const manifest of broken) {
      const others = (coordinator.mesh?.manifestHolders(manifest) ?? []).filter((holder) => holder !== self);
      try {
        await this.#fetcher.fetch(manifest, others.map(peerOfMachine), this.#aborter.signal);
        log.info({ manifest }, 'a damaged content was fetched again');
      } catch (error) {
        this.#aborter.signal.throwIfAborted();
        log.warn(
          { manifest, error: asShoalError(error).message },
          'a content of this machine is damaged and could not be had from others',
        );
        if (others.length === 0) continue;
        const changes = [{ manifest, add: [], remove: [self] }];
        await coordinator.router.propose(MESH_GROUP, { kind: 'blob.holders', changes });
      }
    }
  }

  #arm(delayMs: number): void {
    const { clock, collectPeriodMs } = this.#surroundings;
    this.#timer = clock.after(delayMs, () => {
      const startedMs = clock.monotonicMs();
      void this.look(true).then(() => {
        const tookMs = clock.monotonicMs() - startedMs;
        if (!this.#aborter.signal.aborted) this.#arm(Math.max(collectPeriodMs, SHARE_OF_TIME * tookMs));
      });
    });
  }
}
