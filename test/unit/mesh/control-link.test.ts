import { describe, expect, test } from 'vitest';
import { ShoalError } from '../../../src/lib/errors.ts';
import { FRAME_BYTES_MAX, PEER_QUEUE_BYTES_MAX } from '../../../src/lib/limits.ts';
import { asText, pair, startMesh, until, utf8 } from './meshes.ts';

describe('requests', () => {
  test('an answer comes back to its own request, whatever their order', async () => {
    const [a, b] = await pair();
    b.onRequest('late', async (_from, payload) => {
      await new Promise((resolve) => setTimeout(resolve, 20 - Number(asText(payload))));
      return payload;
    });
    const numbers = Array.from({ length: 20 }, (_, number) => String(number));
    const answers = await Promise.all(numbers.map((number) => a.request(b.self, 'late', utf8(number))));
    expect(answers.map(asText)).toEqual(numbers);
  });

  test('the handler learns who asks from the connection', async () => {
    const [a, b] = await pair();
    b.onRequest('who', async (from) => utf8(from));
    expect(asText(await a.request(b.self, 'who', utf8('')))).toBe(a.self);
  });

  test("a handler's ShoalError keeps code, message and values", async () => {
    const [a, b] = await pair();
    b.onRequest('fail', async () => {
      throw new ShoalError('JobNotFound', 'No job "x".', { job: 'x' });
    });
    const thrown = await a.request(b.self, 'fail', utf8('')).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ShoalError);
    expect(thrown).toMatchObject({ code: 'JobNotFound', message: 'No job "x".', values: { job: 'x' } });
  });

  test('any other fault of a handler is an InternalError and leaves the link alive', async () => {
    const [a, b] = await pair();
    b.onRequest('throw', () => {
      throw new TypeError('oops');
    });
    await expect(a.request(b.self, 'throw', utf8(''))).rejects.toMatchObject({
      code: 'InternalError',
      message: 'oops',
    });
    expect(a.isConnected(b.self)).toBe(true);
  });

  test('an unknown method is UnknownMethod', async () => {
    const [a, b] = await pair();
    await expect(a.request(b.self, 'nope', utf8(''))).rejects.toMatchObject({ code: 'UnknownMethod' });
  });

  test('a request that is not answered in time is OperationTimedOut, and its handler is told', async () => {
    const [a, b] = await pair();
    let told = false;
    b.onRequest('never', (_from, _payload, signal) => {
      signal.addEventListener('abort', () => {
        told = true;
      });
      return new Promise(() => {});
    });
    await expect(a.request(b.self, 'never', utf8(''), { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'OperationTimedOut',
    });
    await until(() => told);
  });

  test('an aborted request rejects at once and its handler is told', async () => {
    const [a, b] = await pair();
    let running = false;
    let told = false;
    b.onRequest('never', (_from, _payload, signal) => {
      running = true;
      signal.addEventListener('abort', () => {
        told = true;
      });
      return new Promise(() => {});
    });
    const controller = new AbortController();
    const asked = a.request(b.self, 'never', utf8(''), { signal: controller.signal });
    asked.catch(() => {});
    await until(() => running);
    controller.abort();
    await expect(asked).rejects.toMatchObject({ code: 'OperationTimedOut' });
    await until(() => told);
    await expect(a.request(b.self, 'never', utf8(''), { signal: controller.signal })).rejects.toThrow(
      /cancelled/,
    );
  });

  test('a payload above one frame is TooLarge on the way out and on the way back; the largest passes', async () => {
    const [a, b] = await pair();
    b.onRequest('echo', async (_from, payload) => payload);
    b.onRequest('grow', async () => Buffer.alloc(FRAME_BYTES_MAX + 1));
    await expect(a.request(b.self, 'echo', Buffer.alloc(FRAME_BYTES_MAX + 1))).rejects.toMatchObject({
      code: 'TooLarge',
    });
    await expect(a.request(b.self, 'grow', utf8(''))).rejects.toMatchObject({ code: 'TooLarge' });
    expect(() => a.send(b.self, 'x', Buffer.alloc(FRAME_BYTES_MAX + 1))).toThrow(/above/);
    const largest = Buffer.alloc(FRAME_BYTES_MAX, 7);
    expect(Buffer.compare(await a.request(b.self, 'echo', largest), largest)).toBe(0);
  });

  test('a request to a peer without a link is PeerUnreachable at once', async () => {
    const a = await startMesh();
    await expect(a.request('12D3KooWnobody', 'echo', utf8(''))).rejects.toMatchObject({
      code: 'PeerUnreachable',
    });
  });

  test('requests in flight reject when the other side stops, and its own handlers are aborted', async () => {
    const [a, b] = await pair();
    const reasons: unknown[] = [];
    b.onRequest('never', (_from, _payload, signal) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return new Promise(() => {});
    });
    const asked = Promise.allSettled([1, 2, 3].map(() => a.request(b.self, 'never', utf8(''))));
    await a.request(b.self, 'nope', utf8('')).catch(() => {});
    await b.stop();
    const codes = (await asked).map((result) =>
      result.status === 'rejected' ? result.reason.code : result.status,
    );
    expect(codes).toEqual(['PeerUnreachable', 'PeerUnreachable', 'PeerUnreachable']);
    expect(reasons).toHaveLength(3);
  });
});

describe('one-way messages', () => {
  test('5,000 messages arrive in order', async () => {
    const [a, b] = await pair();
    const received: number[] = [];
    b.onMessage('count', (from, payload) => {
      if (from === a.self) received.push(Buffer.from(payload).readUInt32BE(0));
    });
    for (let number = 0; number < 5_000; number += 1) {
      const payload = Buffer.alloc(300);
      payload.writeUInt32BE(number, 0);
      expect(a.send(b.self, 'count', payload)).toBe(true);
    }
    await until(() => received.length === 5_000);
    expect(received.every((number, at) => number === at)).toBe(true);
  });

  test('a message nobody listens for, and a listener that throws, leave the link alive', async () => {
    const [a, b] = await pair();
    const received: string[] = [];
    b.onMessage('bad', () => {
      throw new Error('listener');
    });
    b.onMessage('good', (_from, payload) => received.push(asText(payload)));
    a.send(b.self, 'nobody', utf8('1'));
    a.send(b.self, 'bad', utf8('2'));
    a.send(b.self, 'good', utf8('3'));
    await until(() => received.length === 1);
    expect(b.isConnected(a.self)).toBe(true);
  });

  test('send says false once the queue is full, true again when it has drained', async () => {
    const [a, b] = await pair();
    let receivedBytes = 0;
    b.onMessage('bulk', (_from, payload) => {
      receivedBytes += payload.byteLength;
    });
    const payload = Buffer.alloc(4 * 1024 * 1024);
    let accepted = 0;
    while (a.send(b.self, 'bulk', payload)) accepted += 1;
    expect(accepted * payload.byteLength).toBeGreaterThanOrEqual(PEER_QUEUE_BYTES_MAX);
    expect(accepted * payload.byteLength).toBeLessThan(PEER_QUEUE_BYTES_MAX + 2 * payload.byteLength);
    await until(() => receivedBytes === accepted * payload.byteLength);
    expect(a.send(b.self, 'bulk', utf8('again'))).toBe(true);
    expect(a.send('12D3KooWnobody', 'bulk', utf8('x'))).toBe(false);
  });
});
