/**
 * Drives a plan over bulk streams: opens one to each holder that the plan picks, checks each chunk against its hash,
 * stores it, and tells the plan what happened. Holds at most TRANSFER_WINDOW chunks in memory: a chunk leaves the window
 * when it is on disk.
 */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { TRANSFER_STALL_BYTES, TRANSFER_STALL_MS } from '../../src/lib/limits.ts';
import { CHUNKS_PURPOSE, DAMAGED_CHANNEL, Damaged } from '../../src/wire/files.ts';
import type { ChunkBuffers } from './chunk-buffers.ts';
import type { ChunkStore, Written } from './chunk-store.ts';
import { ChunkRequester } from './chunk-stream.ts';
import type { ChunkHash } from './manifest.ts';
import type { Surroundings } from './surroundings.ts';
import type { TransferPlan } from './transfer-plan.ts';

export interface ChunkSwarmInit {
  readonly surroundings: Surroundings;
  readonly store: ChunkStore;
  readonly plan: TransferPlan;
  readonly chunks: readonly ChunkHash[];
  readonly lengthOf: (chunk: number) => number;
  /** Where the chunks' memory comes from. */
  readonly buffers: ChunkBuffers;
  /** `bytes`: what was stored, no longer this class's; undefined for a chunk that was here already. */
  readonly onArrived: (chunk: number, bytes: Buffer<ArrayBuffer> | undefined) => void;
  /** This machine cannot store any more: the transfer is over. */
  readonly onFailed: (error: ShoalError) => void;
}

interface Line {
  readonly peer: string;
  readonly requester: Promise<ChunkRequester>;
  opened: ChunkRequester | undefined;
  /** When its bytes were counted last, and how many there were. */
  countedMs: number;
  countedBytes: number;
}

export class ChunkSwarm {
  readonly #init: ChunkSwarmInit;
  readonly #lines = new Map<string, Line>();
  readonly #aborter = new AbortController();
  #closed = false;

  constructor(init: ChunkSwarmInit) {
    this.#init = init;
  }

  /** Asks for all that may be asked for now. */
  pump(): void {
    const { plan, store, chunks } = this.#init;
    while (!this.#closed) {
      const pick = plan.pick(this.#nowMs());
      if (pick === undefined) return;
      const hash = chunks[pick.chunk] ?? '';
      if (store.has(hash)) this.#arrived(pick.chunk, undefined);
      else void this.#ask(pick.holder, pick.chunk, hash);
    }
  }

  /** Gives up on holders that owe chunks and hardly send. */
  dropStalled(): void {
    const nowMs = this.#nowMs();
    for (const line of this.#lines.values()) {
      const { opened } = line;
      if (opened === undefined || opened.open === 0) {
        line.countedMs = nowMs;
        line.countedBytes = opened?.receivedBytes ?? 0;
      } else if (nowMs - line.countedMs >= TRANSFER_STALL_MS) {
        if (opened.receivedBytes - line.countedBytes < TRANSFER_STALL_BYTES) this.#stalled(line);
        line.countedMs = nowMs;
        line.countedBytes = opened.receivedBytes;
      }
    }
  }

  close(): void {
    this.#closed = true;
    const reason = new ShoalError('OperationTimedOut', 'The transfer is over.');
    for (const { opened } of this.#lines.values()) {
      if (opened?.open === 0) opened.end();
      else opened?.destroy(reason);
    }
    this.#lines.clear();
    this.#aborter.abort(reason);
  }

  async #ask(peer: string, chunk: number, hash: ChunkHash): Promise<void> {
    const { plan, lengthOf } = this.#init;
    let line: Line | undefined;
    try {
      line = this.#line(peer);
      const requester = await line.requester;
      const exact = lengthOf(chunk);
      const bytes = await requester.want(hash, exact);
      if (this.#closed) return;
      if (bytes === undefined) plan.missing(peer, chunk, this.#nowMs());
      else if (bytes.length === exact) await this.#take(peer, chunk, hash, bytes);
      else this.#wrong(peer, hash, bytes);
    } catch (error) {
      if (this.#closed) return;
      this.#broken(peer, line, asShoalError(error));
    }
    this.pump();
  }

  async #take(peer: string, chunk: number, hash: ChunkHash, received: Buffer<ArrayBuffer>): Promise<void> {
    const { kind, bytes } = await this.#store(hash, received);
    if (kind === 'wrong') return this.#wrong(peer, hash, bytes);
    if (kind === 'stored') return this.#arrived(chunk, bytes);
    this.#init.buffers.giveBack(bytes);
    this.#arrived(chunk, undefined);
  }

  #wrong(peer: string, hash: ChunkHash, bytes: Buffer<ArrayBuffer>): void {
    this.#init.buffers.giveBack(bytes);
    if (this.#closed) return;
    this.#init.surroundings.transport.send(peer, DAMAGED_CHANNEL, Damaged.encode({ chunk: hash }));
    this.#expel(peer);
  }

  async #store(hash: ChunkHash, bytes: Buffer<ArrayBuffer>): Promise<Written> {
    try {
      return await this.#init.store.putVerified(hash, bytes);
    } catch (error) {
      this.#init.onFailed(asShoalError(error));
      throw error;
    }
  }

  #arrived(chunk: number, bytes: Buffer<ArrayBuffer> | undefined): void {
    if (this.#closed || this.#init.plan.hasArrived(chunk)) return;
    this.#init.plan.arrived(chunk, this.#nowMs());
    this.#init.onArrived(chunk, bytes);
  }

  #line(peer: string): Line {
    const known = this.#lines.get(peer);
    if (known !== undefined) return known;
    const line: Line = {
      peer,
      requester: this.#open(peer),
      opened: undefined,
      countedMs: this.#nowMs(),
      countedBytes: 0,
    };
    this.#lines.set(peer, line);
    line.requester.then(
      (requester) => {
        line.opened = requester;
        if (this.#lines.get(peer) !== line) requester.destroy(new ShoalError('OperationTimedOut'));
      },
      () => undefined,
    );
    return line;
  }

  async #open(peer: string): Promise<ChunkRequester> {
    const { surroundings, buffers } = this.#init;
    const stream = await surroundings.bulk.openBulk(
      peer,
      CHUNKS_PURPOSE,
      new Uint8Array(),
      this.#aborter.signal,
    );
    return new ChunkRequester(stream, buffers);
  }

  /** Many questions of one line fail together; the first of them counts. */
  #broken(peer: string, line: Line | undefined, error: ShoalError): void {
    if (line !== undefined && this.#lines.get(peer) !== line) return;
    this.#lines.delete(peer);
    line?.opened?.destroy(error);
    if (error.code === 'InvalidRequestBody') this.#init.plan.expelled(peer, this.#nowMs());
    else this.#init.plan.failed(peer, this.#nowMs());
    this.#init.surroundings.log.debug({ peer, error: error.message }, 'a holder of chunks failed');
  }

  #expel(peer: string): void {
    const error = new ShoalError('InvalidRequestBody', 'The holder sent bytes that are not the chunk.');
    this.#init.surroundings.log.warn(
      { peer },
      'a holder sent bytes that are not the chunk; it is asked no more',
    );
    this.#init.plan.expelled(peer, this.#nowMs());
    const line = this.#lines.get(peer);
    this.#lines.delete(peer);
    line?.opened?.destroy(error);
  }

  #stalled(line: Line): void {
    this.#broken(
      line.peer,
      line,
      new ShoalError('OperationTimedOut', `${line.peer} sends no chunks any more.`),
    );
  }

  #nowMs(): number {
    return this.#init.surroundings.clock.monotonicMs();
  }
}
