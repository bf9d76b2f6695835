import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { connect } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { connectBulk } from '../../../src/mesh/bulk-sockets.ts';
import type { MeshInit, MeshNode } from '../../../src/mesh/mesh.ts';
import { asText, pair, until, utf8 } from './meshes.ts';

const MIB = 1024 * 1024;

/** How the two nodes are set up so that `a` opens its streams to `b` in each of the three ways. */
const WAYS: [way: string, a: Partial<MeshInit>, b: Partial<MeshInit>][] = [
  ['a socket to the peer', {}, {}],
  ['a socket back from a peer that cannot be dialled', {}, { listen: [] }],
  ['the mesh connection, where no socket can be had', { bulkPort: 'none' }, { listen: [] }],
];

function noise(bytes: number): Buffer {
  const block = createHash('sha512').update(String(bytes)).digest();
  return Buffer.alloc(bytes, block);
}

function collect(mesh: MeshNode, purpose: string): Promise<{ from: string; header: string; body: Buffer }> {
  return new Promise((resolve, reject) => {
    mesh.onBulk(purpose, (from, header, stream) => {
      buffer(stream).then((body) => resolve({ from, header: asText(header), body }), reject);
    });
  });
}

describe.each(WAYS)('a bulk stream over %s', (_way, forA, forB) => {
  test('carries bytes both ways, whatever the sizes, and ends on both sides', async () => {
    const [a, b] = await pair(forA, forB);
    const sent = noise(3 * MIB + 17);
    b.onBulk('echo', (from, header, stream) => {
      stream.write(Buffer.from(`${from} ${asText(header)}\n`));
      void pipeline(stream, stream);
    });
    const stream = await a.openBulk(b.self, 'echo', utf8('header'));
    for (let at = 0, size = 1; at < sent.byteLength; at += size, size = Math.min(size * 3, 400_000)) {
      stream.write(sent.subarray(at, Math.min(at + size, sent.byteLength)));
    }
    stream.end();
    const received = await buffer(stream);
    const greeting = `${a.self} header\n`;
    expect(received.subarray(0, greeting.length).toString()).toBe(greeting);
    expect(received.subarray(greeting.length).equals(sent)).toBe(true);
  });

  test('64 MiB to a slow reader: the sender is held back, memory stays bounded', async () => {
    const [a, b] = await pair(forA, forB);
    const totalBytes = 64 * MIB;
    let consumed = 0;
    let produced = 0;
    let aheadMax = 0;
    let done = false;
    b.onBulk('slow', async (_from, _header, stream) => {
      for await (const chunk of stream) {
        consumed += chunk.byteLength;
        // 2 ms for each megabyte of chunks: far slower than the sender could be.
        if (consumed % (4 * MIB) < chunk.byteLength) await new Promise((resolve) => setTimeout(resolve, 8));
      }
      done = true;
    });
    const stream = await a.openBulk(b.self, 'slow', utf8(''));
    async function* source(): AsyncGenerator<Buffer> {
      const chunk = noise(256 * 1024);
      while (produced < totalBytes) {
        produced += chunk.byteLength;
        aheadMax = Math.max(aheadMax, produced - consumed);
        yield chunk;
      }
    }
    await pipeline(source, stream);
    await until(() => done);
    expect(consumed).toBe(totalBytes);
    expect(aheadMax).toBeLessThan(24 * MIB);
  });

  test('a slow reader that opened the stream holds the sender back too, and loses nothing', async () => {
    const [a, b] = await pair(forA, forB);
    const totalBytes = 32 * MIB;
    let produced = 0;
    let aheadMax = 0;
    const got = createHash('sha256');
    const sent = createHash('sha256');
    let consumed = 0;
    b.onBulk('fast', async (_from, _header, stream) => {
      async function* source(): AsyncGenerator<Buffer> {
        for (let at = 0; at < totalBytes; at += 256 * 1024) {
          const chunk = noise(256 * 1024);
          chunk.writeUInt32LE(at);
          sent.update(chunk);
          produced += chunk.byteLength;
          aheadMax = Math.max(aheadMax, produced - consumed);
          yield chunk;
        }
      }
      await pipeline(source, stream);
    });
    const stream = await a.openBulk(b.self, 'fast', utf8(''));
    for await (const chunk of stream) {
      consumed += chunk.byteLength;
      got.update(chunk);
      if (consumed % (4 * MIB) < chunk.byteLength) await new Promise((resolve) => setTimeout(resolve, 8));
    }
    expect(consumed).toBe(totalBytes);
    expect(got.digest('hex')).toBe(sent.digest('hex'));
    expect(aheadMax).toBeLessThan(24 * MIB);
  });

  test('the memory of a write is free when its callback says so: what is written into it then is not sent', async () => {
    const [a, b] = await pair(forA, forB);
    const collected = collect(b, 'reused');
    const stream = await a.openBulk(b.self, 'reused', utf8(''));
    const memory = Buffer.alloc(MIB);
    for (let piece = 0; piece < 24; piece++) {
      memory.fill(piece);
      await new Promise<void>((resolve, reject) =>
        stream.write(memory, (error) => (error == null ? resolve() : reject(error))),
      );
    }
    stream.end();
    const { body } = await collected;
    const expected = Buffer.concat(Array.from({ length: 24 }, (_, piece) => Buffer.alloc(MIB, piece)));
    expect(body.equals(expected)).toBe(true);
  });

  test('a borrower gets every byte in order, and the end', async () => {
    const [a, b] = await pair(forA, forB);
    const sent = noise(5 * MIB + 3);
    b.onBulk('lend', (_from, _header, stream) => void pipeline([sent], stream));
    const stream = await a.openBulk(b.self, 'lend', utf8(''));
    const got = Buffer.alloc(sent.byteLength);
    let at = 0;
    stream.borrow((piece) => {
      at += piece.copy(got, at);
    });
    await once(stream, 'end');
    expect(at).toBe(sent.byteLength);
    expect(got.equals(sent)).toBe(true);
  });

  test('a sender that destroys its stream half-way is an error for the reader, not an end', async () => {
    const [a, b] = await pair(forA, forB);
    const collected = collect(b, 'half');
    collected.catch(() => {});
    const stream = await a.openBulk(b.self, 'half', utf8(''));
    stream.write(Buffer.alloc(100));
    await new Promise((resolve) => setTimeout(resolve, 20));
    stream.destroy();
    await expect(collected).rejects.toMatchObject({ code: 'PeerUnreachable' });
  });

  test('a reader that destroys its stream is an error for the sender', async () => {
    const [a, b] = await pair(forA, forB);
    b.onBulk('deaf', (_from, _header, stream) => stream.once('data', () => stream.destroy()));
    const stream = await a.openBulk(b.self, 'deaf', utf8(''));
    const failed = new Promise((resolve) => stream.once('error', resolve));
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield Buffer.alloc(64 * 1024);
    }
    await expect(pipeline(endless, stream)).rejects.toMatchObject({ code: 'PeerUnreachable' });
    await failed;
  });

  test('a removed peer loses its open streams', async () => {
    const [a, b] = await pair(forA, forB);
    const served: Duplex[] = [];
    b.onBulk('open', (_from, _header, stream) => served.push(stream));
    const stream = await a.openBulk(b.self, 'open', utf8(''));
    await until(() => served.length === 1);
    const failed = new Promise<Error>((resolve) => stream.once('error', resolve));
    b.setAllowed(new Set([b.self]));
    expect(served[0]?.destroyed).toBe(true);
    expect(await failed).toMatchObject({ code: 'PeerUnreachable' });
  });
});

describe('opening a bulk stream', () => {
  test('for a purpose nobody serves is UnknownMethod, to a peer without a link PeerUnreachable', async () => {
    const [a, b] = await pair();
    await expect(a.openBulk(b.self, 'nope', utf8(''))).rejects.toMatchObject({ code: 'UnknownMethod' });
    await expect(a.openBulk('12D3KooWnobody', 'nope', utf8(''))).rejects.toMatchObject({
      code: 'PeerUnreachable',
    });
    await expect(a.openBulk(b.self, 'nope', Buffer.alloc(70_000))).rejects.toMatchObject({
      code: 'TooLarge',
    });
  });

  test('can be given up, and giving up later destroys the stream', async () => {
    const [a, b] = await pair();
    b.onBulk('open', () => {});
    await expect(a.openBulk(b.self, 'open', utf8(''), AbortSignal.abort())).rejects.toThrow();
    const controller = new AbortController();
    const stream = await a.openBulk(b.self, 'open', utf8(''), controller.signal);
    const failed = new Promise((resolve) => stream.once('error', resolve));
    controller.abort();
    await failed;
    expect(stream.destroyed).toBe(true);
  });

  test('a ticket opens one socket; a second use, a wrong key and a guessed id are refused', async () => {
    const [a, b] = await pair();
    let opened = 0;
    b.onBulk('once', () => {
      opened += 1;
    });
    const ask = async () => {
      const answer = await a.request(
        b.self,
        'mesh/bulk-ticket',
        utf8(JSON.stringify({ purpose: 'once', header: '' })),
      );
      const { id, key, port } = JSON.parse(asText(answer)) as { id: string; key: string; port: number };
      return { id, key: Buffer.from(key, 'base64'), port };
    };
    const signal = new AbortController().signal;
    const { id, key, port } = await ask();
    const pipe = await connectBulk('127.0.0.1', port, id, key, signal);
    await until(() => opened === 1);
    await expect(connectBulk('127.0.0.1', port, id, key, signal)).rejects.toMatchObject({
      code: 'PeerUnreachable',
    });
    const other = await ask();
    await expect(connectBulk('127.0.0.1', port, other.id, key, signal)).rejects.toMatchObject({
      code: 'PeerUnreachable',
    });
    await expect(connectBulk('127.0.0.1', port, 'f'.repeat(32), key, signal)).rejects.toMatchObject({
      code: 'PeerUnreachable',
    });
    const bare = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    await once(bare, 'error');
    expect(opened).toBe(1);
    expect(b.counters.bulkRefused).toBe(4);
    pipe.read({ onData: () => {}, onEnd: () => {} });
    pipe.abort(new Error('the test is over'));
  });
});
