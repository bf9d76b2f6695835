/** Clients that mean harm, over real connections; what they and an honest one hear is counted, never timed. */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';
import {
  API_CONNECTIONS_PER_ADDRESS_MAX,
  STRANGER_DISCARD_BYTES_MAX,
  STRANGER_FAILURES_MAX,
  STRANGER_FAILURES_PER_CONNECTION_MAX,
} from '../../../src/lib/limits.ts';
import { sign, stringToSign } from '../../../src/lib/shared-key.ts';
import { ApiFixture, VERSION } from './api-fixture.ts';
import { ACCOUNT, ACCOUNT_KEY } from './local-control.ts';

const POOLS = `/pools?api-version=${VERSION}`;
const FORGED = `SharedKey ${ACCOUNT}:${'A'.repeat(43)}=`;

let api: ApiFixture;
let port: number;
let sockets: Socket[];
beforeEach(async () => {
  // Time stands still, so that nothing is forgiven meanwhile; timers run. So requests must cost nothing, or what is owed
  // for a slow one would never be paid.
  api = new ApiFixture({ ...systemClock, monotonicMs: () => 0 }, () => 0);
  ({ port } = await api.api.listenTcp('127.0.0.1', 0));
  sockets = [];
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await api.api.close();
});

interface Heard {
  readonly status: number;
  readonly code: string;
  readonly closes: boolean;
  readonly retryAfter: string | undefined;
}

interface Sent {
  readonly from?: string;
  readonly agent?: Agent;
  readonly authorization?: string;
  readonly body?: Buffer;
}

function send({ from = '127.0.0.1', agent, authorization, body }: Sent): Promise<Heard> {
  const headers: Record<string, string> = { 'ocp-date': new Date().toUTCString() };
  if (body !== undefined) headers['content-length'] = String(body.length);
  const method = body === undefined ? 'GET' : 'POST';
  const signature = sign(stringToSign({ method, url: POOLS, headers }, ACCOUNT), ACCOUNT_KEY);
  headers.authorization = authorization ?? `SharedKey ${ACCOUNT}:${signature}`;
  const place = { host: '127.0.0.1', port, localAddress: from, agent: agent ?? false };
  return new Promise((resolve, reject) => {
    const sent = request({ ...place, method, path: POOLS, headers }, async (response) => {
      const answer = await text(response);
      resolve({
        status: response.statusCode ?? 0,
        code: answer === '' ? '' : (JSON.parse(answer).code ?? ''),
        closes: response.headers.connection === 'close',
        retryAfter: response.headers['retry-after'],
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A connection that says `bytes` and nothing else. */
function open(bytes: string, from = '127.0.0.2'): Socket {
  const socket = connect({ host: '127.0.0.1', port, localAddress: from });
  if (bytes !== '') socket.write(bytes);
  socket.on('error', () => undefined);
  socket.resume();
  sockets.push(socket);
  return socket;
}

const good = { status: 200, code: '' };

describe('an address that shows no good signature', () => {
  test('is closed its connection after a few, and hears 429 after many, when to come again, and no more', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const forged: Sent = { from: '127.0.0.2', authorization: FORGED, agent };
    for (let failure = 1; failure <= STRANGER_FAILURES_MAX; failure += 1) {
      const closes = failure % STRANGER_FAILURES_PER_CONNECTION_MAX === 0;
      expect(await send(forged)).toMatchObject({ status: 403, code: 'AuthenticationFailed', closes });
    }
    expect(await send(forged)).toEqual({
      status: 429,
      code: 'TooManyRequests',
      closes: true,
      retryAfter: '1',
    });
    agent.destroy();
  });

  test('does not slow one with another address, nor a connection of its own that is signed', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const neighbour: Sent = { from: '127.0.0.2', agent };
    expect(await send(neighbour)).toMatchObject(good);
    const forged = Array.from({ length: 3 * STRANGER_FAILURES_MAX }, () =>
      send({ from: '127.0.0.2', authorization: FORGED }).catch(() => undefined),
    );
    let answered = 0;
    void Promise.all(forged).then(() => {
      answered = forged.length;
    });
    for (let read = 0; read < 50; read += 1) {
      expect(await send({})).toMatchObject(good);
      expect(await send(neighbour)).toMatchObject(good);
    }
    // The honest reads were done while forged ones still waited for their turn.
    expect(answered).toBe(0);
    agent.destroy();
  });

  test('is let in again with its first good signature, if only in its turn', async () => {
    for (let failure = 0; failure <= STRANGER_FAILURES_MAX; failure += 1)
      await send({ from: '127.0.0.2', authorization: FORGED });
    expect(await send({ from: '127.0.0.2' })).toMatchObject(good);
  });

  test('does not keep out new connections of an honest client with the same address', async () => {
    const forged = Array.from({ length: 3 * STRANGER_FAILURES_MAX }, () =>
      send({ authorization: FORGED }).catch(() => undefined),
    );
    let answered = 0;
    void Promise.all(forged).then(() => {
      answered = forged.length;
    });
    for (let read = 0; read < 3; read += 1) expect(await send({})).toMatchObject(good);
    expect(answered).toBe(0);
  });

  test('does not have its bodies read', async () => {
    const body = Buffer.alloc(4 * STRANGER_DISCARD_BYTES_MAX, 'x');
    let refused = 0;
    let cut = 0;
    for (let failure = 0; failure < 5; failure += 1) {
      await send({ from: '127.0.0.2', authorization: FORGED, body }).then(
        ({ status }) => {
          if (status === 403) refused += 1;
        },
        () => {
          cut += 1;
        },
      );
    }
    expect(refused + cut).toBe(5);
    expect(await send({})).toMatchObject(good);
  });

  test.each([
    ['no HTTP', '\u0000\u0001'],
    ['no signed request', 'GET / HTTP/1.0\r\n\r\n'],
    ['nothing', ''],
  ])('is held back after many connections that say %s', async (_, bytes) => {
    for (let count = 0; count < STRANGER_FAILURES_MAX; count += 1) {
      const socket = open(bytes);
      if (bytes === '') socket.end();
      await once(socket, 'close');
    }
    const forged: Sent = { from: '127.0.0.2', authorization: FORGED };
    await vi.waitFor(async () => expect(await send(forged)).toMatchObject({ closes: true }), 10_000);
    expect(await send({})).toMatchObject(good);
  });
});

describe('connections', () => {
  test('of one address leave room for others, however many it opens', async () => {
    const silent = Array.from({ length: API_CONNECTIONS_PER_ADDRESS_MAX + 50 }, () => open(''));
    const closed = silent.map(() => false);
    silent.forEach((socket, index) => {
      socket.once('close', () => {
        closed[index] = true;
      });
    });
    await vi.waitFor(() => expect(closed.filter(Boolean)).toHaveLength(50), { timeout: 20_000 });
    for (let read = 0; read < 20; read += 1) expect(await send({})).toMatchObject(good);
  });

  test('that are held back hear the answer to what they had sent before they were listened to', async () => {
    for (let failure = 0; failure <= STRANGER_FAILURES_MAX; failure += 1)
      await send({ from: '127.0.0.2', authorization: FORGED });
    const socket = open(`GET ${POOLS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
    let heard = '';
    socket.on('data', (bytes) => {
      heard += String(bytes);
    });
    await once(socket, 'close');
    expect(heard).toContain('TooManyRequests');
  });
});
