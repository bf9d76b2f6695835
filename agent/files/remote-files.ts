/** Files of any machine's nodes: this machine's directly, others' by request, and by stream where they are large. Members only. */
import { type Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asShoalError, isErrorCode, ShoalError } from '../../src/lib/errors.ts';
import { FILE_REQUEST_MS } from '../../src/lib/limits.ts';
import type { ByteRange } from '../../src/model/control.ts';
import { type MachineId, peerOfMachine } from '../../src/model/ids.ts';
import {
  DELETE_REQUEST,
  Delete,
  FILE_PURPOSE,
  FileHead,
  LIST_REQUEST,
  List,
  ListAnswer,
  READ_REQUEST,
  Read,
  ReadAnswer,
  STAT_REQUEST,
  Stat,
  StatAnswer,
} from '../../src/wire/files.ts';
import type { NodeFileEntry, NodeFiles, OpenedNodeFile, Place } from './node-files.ts';
import type { Surroundings } from './surroundings.ts';

const LENGTH_BYTES = 4;
const HEAD_BYTES_MAX = 64 * 1024;

export class RemoteFiles {
  readonly #surroundings: Surroundings;
  readonly #local: NodeFiles;

  constructor(surroundings: Surroundings, local: NodeFiles) {
    this.#surroundings = surroundings;
    this.#local = local;
  }

  start(): void {
    const { bulk } = this.#surroundings;
    const local = this.#local;
    this.#answer(LIST_REQUEST, async (payload) => {
      const { recursive, ...place } = List.decode(payload);
      return ListAnswer.encode({ entries: await local.list(place, recursive) });
    });
    this.#answer(STAT_REQUEST, async (payload) => {
      const { path, ...place } = Stat.decode(payload);
      return StatAnswer.encode(await local.stat(place, path));
    });
    this.#answer(READ_REQUEST, async (payload) => {
      const { path, start, end, ...place } = Read.decode(payload);
      const { entry, bytes } = await local.read(place, path, rangeOf(start, end));
      return ReadAnswer.encode({ entry, bytes: bytes ?? null });
    });
    this.#answer(DELETE_REQUEST, async (payload) => {
      const { path, recursive, ...place } = Delete.decode(payload);
      await local.remove(place, path, recursive);
      return new Uint8Array();
    });
    bulk.onBulk(FILE_PURPOSE, (from, header, stream) => void this.#serve(from, header, stream));
  }

  async list(
    machine: MachineId,
    place: Place,
    recursive: boolean,
    signal?: AbortSignal,
  ): Promise<readonly NodeFileEntry[]> {
    if (this.#isHere(machine)) return this.#local.list(place, recursive);
    const answer = await this.#ask(machine, LIST_REQUEST, List.encode({ ...place, recursive }), signal);
    return ListAnswer.decode(answer).entries;
  }

  async stat(machine: MachineId, place: Place, path: string, signal?: AbortSignal): Promise<NodeFileEntry> {
    if (this.#isHere(machine)) return this.#local.stat(place, path);
    return StatAnswer.decode(await this.#ask(machine, STAT_REQUEST, Stat.encode({ ...place, path }), signal));
  }

  async open(
    machine: MachineId,
    place: Place,
    path: string,
    range: ByteRange | undefined,
    signal?: AbortSignal,
  ): Promise<OpenedNodeFile> {
    if (this.#isHere(machine)) return this.#local.open(place, path, range);
    const asked = Read.encode({
      ...place,
      path,
      start: range?.start ?? 0,
      ...(range?.end === undefined ? {} : { end: range.end }),
    });
    // Most reads are of a log's last lines: one request answers those.
    const { entry, bytes } = ReadAnswer.decode(await this.#ask(machine, READ_REQUEST, asked, signal));
    if (bytes !== null) {
      return { entry, lengthBytes: bytes.length, body: Readable.from([bytes], { objectMode: false }) };
    }
    return this.#openStream(machine, asked, signal);
  }

  async remove(
    machine: MachineId,
    place: Place,
    path: string,
    recursive: boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.#isHere(machine)) return this.#local.remove(place, path, recursive);
    await this.#ask(machine, DELETE_REQUEST, Delete.encode({ ...place, path, recursive }), signal);
  }

  // --- Asking ---------------------------------------------------------------------------------------------------

  #isHere(machine: MachineId): boolean {
    return machine === this.#surroundings.self;
  }

  #ask(
    machine: MachineId,
    method: string,
    payload: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const options = { timeoutMs: FILE_REQUEST_MS, ...(signal === undefined ? {} : { signal }) };
    return this.#surroundings.transport.request(peerOfMachine(machine), method, payload, options);
  }

  async #openStream(
    machine: MachineId,
    header: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<OpenedNodeFile> {
    const stream = await this.#surroundings.bulk.openBulk(
      peerOfMachine(machine),
      FILE_PURPOSE,
      header,
      signal,
    );
    // Whoever reads hears of it; without a listener it would end the process.
    stream.on('error', () => undefined);
    try {
      return await openedOf(stream);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  // --- Answering ------------------------------------------------------------------------------------------------

  #answer(method: string, handle: (payload: Uint8Array) => Promise<Uint8Array>): void {
    this.#surroundings.transport.onRequest(method, async (from, payload) => {
      this.#surroundings.coordinator.requireMember(from);
      return handle(payload);
    });
  }

  async #serve(from: string, header: Uint8Array, stream: Duplex): Promise<void> {
    stream.on('error', () => undefined);
    // What the other side writes is nothing to us, but its end must be heard.
    stream.resume();
    try {
      this.#surroundings.coordinator.requireMember(from);
      const { path, start, end, ...place } = Read.decode(header);
      const { entry, lengthBytes, body } = await this.#local.open(place, path, rangeOf(start, end));
      stream.write(framed(FileHead.encode({ entry, lengthBytes })));
      await pipeline(exactly(body, lengthBytes), stream);
    } catch (error) {
      const { code, message } = asShoalError(error);
      // After the head this is a broken stream to the reader, which is right too.
      if (!stream.destroyed)
        stream.end(framed(FileHead.encode({ error: { code, message: message.slice(0, 1000) } })));
    }
  }
}

function rangeOf(start: number, end: number | undefined): ByteRange | undefined {
  if (end !== undefined) return { start, end };
  return start === 0 ? undefined : { start };
}

function framed(head: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + head.length);
  frame.writeUInt32BE(head.length);
  frame.set(head, LENGTH_BYTES);
  return frame;
}

/** Throws where the source has less (a file that was cut meanwhile); passes on no more than announced. */
async function* exactly(source: AsyncIterable<Uint8Array>, lengthBytes: number): AsyncGenerator<Uint8Array> {
  let left = lengthBytes;
  if (left > 0) {
    for await (const piece of source) {
      const part = piece.subarray(0, left);
      left -= part.length;
      yield part;
      if (left === 0) return;
    }
  }
  if (left > 0) {
    throw new ShoalError(
      'PeerUnreachable',
      `The file's stream ended ${left} bytes before its announced end.`,
    );
  }
}

/** Reads the head of a file stream; the body is what follows it. */
async function openedOf(stream: Duplex): Promise<OpenedNodeFile> {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let unread = Buffer.alloc(0);
  const need = async (bytes: number): Promise<void> => {
    while (unread.length < bytes) {
      const { value, done } = await pieces.next();
      if (done === true) throw new ShoalError('PeerUnreachable', 'The file stream ended before its head.');
      unread = Buffer.concat([unread, value]);
    }
  };
  await need(LENGTH_BYTES);
  const headBytes = unread.readUInt32BE(0);
  if (headBytes > HEAD_BYTES_MAX) {
    throw new ShoalError('InvalidRequestBody', `A file stream's head of ${headBytes} bytes.`);
  }
  await need(LENGTH_BYTES + headBytes);
  const head = FileHead.decode(unread.subarray(LENGTH_BYTES, LENGTH_BYTES + headBytes));
  if ('error' in head) {
    const { code, message } = head.error;
    throw new ShoalError(isErrorCode(code) ? code : 'InternalError', message);
  }
  const first = unread.subarray(LENGTH_BYTES + headBytes);
  async function* rest(): AsyncGenerator<Uint8Array> {
    try {
      if (first.length > 0) yield first;
      for (;;) {
        const { value, done } = await pieces.next();
        if (done === true) return;
        yield value;
      }
    } finally {
      stream.destroy();
    }
  }
  const body = Readable.from(exactly(rest(), head.lengthBytes), { objectMode: false });
  return { entry: head.entry, lengthBytes: head.lengthBytes, body };
}
