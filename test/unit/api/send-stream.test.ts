import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { sendStream } from '../../../src/api/send-stream.ts';
import { lend } from '../../../src/lib/lent-bytes.ts';

/** What `answer` does with a request, as a client gets it. */
async function request(answer: (response: ServerResponse) => void): Promise<IncomingMessage> {
  const server = createServer((_request, response) => answer(response));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const asked = get({ port: (server.address() as AddressInfo).port });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
}

/** Pieces in memory that is overwritten as soon as it is given back. */
function lentPieces(count: number, pieceBytes: number, hashed: (piece: Buffer) => void): Readable {
  const free = [Buffer.allocUnsafeSlow(pieceBytes)];
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let index = 0; index < count; index++) {
      const piece = free.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
      randomBytes(pieceBytes).copy(piece);
      hashed(piece);
      lend(piece, () => {
        piece.fill(0);
        free.push(piece);
      });
      yield piece;
    }
  }
  return Readable.from(pieces(), { objectMode: false, highWaterMark: 1 });
}

describe('a body that is sent', () => {
  it('reaches a client that reads slowly as it was, although its memory is used again', async () => {
    const sent = createHash('sha256');
    const body = lentPieces(40, 1024 * 1024, (piece) => sent.update(piece));
    const response = await request((to) => void sendStream(body, to, () => undefined));
    const got = createHash('sha256');
    for await (const piece of response) {
      got.update(piece as Buffer);
      await setImmediate();
    }
    expect(got.digest('hex')).toBe(sent.digest('hex'));
  });

  it('and has nothing in it has its head all the same', async () => {
    const response = await request((to) => {
      void sendStream(Readable.from([]), to, () => to.setHeader('x-begun', 'yes'));
    });
    expect(response.headers['x-begun']).toBe('yes');
    expect(await response.toArray()).toEqual([]);
  });

  it('can still be answered as an error while nothing of it is sent', async () => {
    const failing = new Readable({ read: () => void failing.destroy(new Error('gone')) });
    const response = await request((to) => {
      sendStream(failing, to, () => undefined).catch((error: Error) => {
        to.statusCode = 500;
        to.end(error.message);
      });
    });
    expect(response.statusCode).toBe(500);
    expect(Buffer.concat(await response.toArray()).toString()).toBe('gone');
  });

  it('breaks the connection where it fails later', async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield Buffer.from('half');
      throw new Error('gone');
    }
    const response = await request((to) => void sendStream(Readable.from(failing()), to, () => undefined));
    await expect(response.toArray()).rejects.toThrow('aborted');
  });

  it('ends when the client hangs up', async () => {
    const body = lentPieces(1_000, 64 * 1024, () => undefined);
    const closed = once(body, 'close');
    const response = await request((to) => void sendStream(body, to, () => undefined));
    response.destroy();
    await closed;
    expect(body.destroyed).toBe(true);
  });
});
