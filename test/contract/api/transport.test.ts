import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';
import {
  API_DISCARD_BYTES_MAX,
  REQUEST_BODY_BYTES_MAX,
  SHARED_KEY_REUSE_MS,
} from '../../../src/lib/limits.ts';
import { sign, stringToSign } from '../../../src/lib/shared-key.ts';
import { ApiFixture, VERSION } from './api-fixture.ts';
import { ACCOUNT, ACCOUNT_KEY } from './local-control.ts';

let api: ApiFixture;
let directory: string;
beforeEach(async () => {
  api = new ApiFixture();
  directory = await mkdtemp(join(tmpdir(), 'shoal-api-'));
});
afterEach(async () => {
  await api.api.close();
  await rm(directory, { recursive: true });
});

interface Sent {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly socketPath?: string;
  readonly port?: number;
}

interface Heard {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly code: string | undefined;
  readonly text: string;
}

const POOLS = `/pools?api-version=${VERSION}`;

function send(sent: Sent): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', path = POOLS, headers = {}, body, socketPath, port } = sent;
    const place = socketPath === undefined ? { host: '127.0.0.1', port } : { socketPath };
    const outgoing = httpRequest({ ...place, method, path, headers, agent: false }, async (response) => {
      const answer = await text(response);
      const isJson = (response.headers['content-type'] ?? '').startsWith('application/json');
      const code = isJson && answer !== '' ? JSON.parse(answer).code : undefined;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, code, text: answer });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** As Azure's clients sign: `ocp-date` in place of `Date`. */
function signedHeaders(sent: Sent, date = new Date()): Record<string, string> {
  const headers: Record<string, string> = {
    'ocp-date': date.toUTCString(),
    ...(sent.body !== undefined && {
      'content-length': String(Buffer.byteLength(sent.body)),
      'content-type': 'application/json',
    }),
    ...sent.headers,
  };
  const request = { method: sent.method ?? 'GET', url: sent.path ?? POOLS, headers };
  return {
    ...headers,
    authorization: `SharedKey ${ACCOUNT}:${sign(stringToSign(request, ACCOUNT), ACCOUNT_KEY)}`,
  };
}

async function listen(): Promise<(sent: Sent) => Promise<Heard>> {
  const { port } = await api.api.listenTcp('127.0.0.1', 0);
  return (sent) => send({ ...sent, port });
}

describe('the unix socket', () => {
  test('needs no key and is for its owner only', async () => {
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    const heard = await send({ socketPath });
    expect(heard.status).toBe(200);
    expect(JSON.parse(heard.text).value).toEqual([expect.objectContaining({ id: 'default' })]);
  });

  test('of a dead process is replaced, of a live one is not', async () => {
    const socketPath = join(directory, 'api.sock');
    const server = createServer().listen(socketPath);
    await new Promise((resolve) => server.once('listening', resolve));
    await expect(api.api.listenUnix(socketPath)).rejects.toMatchObject({ code: 'AgentRunning' });
    await new Promise((resolve) => server.close(resolve));
    await leaveDeadSocket(socketPath);
    await api.api.listenUnix(socketPath);
    expect((await send({ socketPath })).status).toBe(200);
  });

  test('answers with URLs of the account’s host where the request names none', async () => {
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    const heard = await send({
      socketPath,
      path: `/pools/default?api-version=${VERSION}`,
      headers: { host: 'a b"<' },
    });
    expect(JSON.parse(heard.text).url).toBe('http://localhost/pools/default');
  });
});

/** A socket file that nobody listens on, as a killed process leaves it. */
async function leaveDeadSocket(path: string): Promise<void> {
  const { execFileSync } = await import('node:child_process');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  try {
    execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' });
  } catch {
    // Killed, as it should be.
  }
}

describe('TCP', () => {
  test('takes what the account key signed and nothing else', async () => {
    const ask = await listen();
    expect((await ask({ headers: signedHeaders({}) })).status).toBe(200);
    expect(await ask({})).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
    expect(await ask({ path: '/nowhere' })).toMatchObject({ status: 403 });
    const forged = { ...signedHeaders({}), authorization: `SharedKey ${ACCOUNT}:${'A'.repeat(43)}=` };
    expect(await ask({ headers: forged })).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
    const elsewhere = signedHeaders({ path: `/jobs?api-version=${VERSION}` });
    expect(await ask({ headers: elsewhere })).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
    const old = signedHeaders({}, new Date(Date.now() - 16 * 60_000));
    expect(await ask({ headers: old })).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
    const early = signedHeaders({}, new Date(Date.now() + 16 * 60_000));
    expect(await ask({ headers: early })).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
    expect(await ask({ headers: { ...signedHeaders({}), authorization: 'SharedKey x' } })).toMatchObject({
      code: 'InvalidAuthenticationInfo',
    });
  });

  test('a wrong signature asks the mesh for the key only once in a while', async () => {
    const ask = await listen();
    const forged = { ...signedHeaders({}), authorization: `SharedKey ${ACCOUNT}:${'A'.repeat(43)}=` };
    for (let tries = 0; tries < 10; tries += 1) await ask({ headers: forged });
    expect(api.control.calls.filter((call) => call === 'settings')).toHaveLength(1);
  });

  test('a recorded change cannot be played again later; a read, or an honest retry, can', async () => {
    let aheadMs = 0;
    const clock = { ...systemClock, wallMs: () => Date.now() + aheadMs };
    await api.api.close();
    api = new ApiFixture(clock);
    const ask = await listen();
    const sent = { method: 'POST', body: JSON.stringify({ id: 'p', vmSize: 'machine' }) };
    const headers = signedHeaders(sent);
    expect((await ask({ ...sent, headers })).status).toBe(201);
    expect(await ask({ ...sent, headers })).toMatchObject({ code: 'PoolExists' });
    const read = { headers: signedHeaders({}) };
    expect((await ask(read)).status).toBe(200);
    aheadMs = SHARED_KEY_REUSE_MS + 1_000;
    expect(await ask({ ...sent, headers })).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
    expect((await ask(read)).status).toBe(200);
  });

  test('takes a signed body', async () => {
    const ask = await listen();
    const sent = { method: 'POST', body: JSON.stringify({ id: 'p', vmSize: 'machine' }) };
    expect((await ask({ ...sent, headers: signedHeaders(sent) })).status).toBe(201);
  });

  test('is not fooled by a foreign Host or Origin', async () => {
    const ask = await listen();
    expect(await ask({ headers: signedHeaders({ headers: { host: 'evil.example' } }) })).toMatchObject({
      status: 403,
      code: 'Forbidden',
    });
    expect(
      await ask({ headers: signedHeaders({ headers: { origin: 'http://evil.example' } }) }),
    ).toMatchObject({ status: 403, code: 'Forbidden' });
    expect((await ask({ headers: signedHeaders({ headers: { host: 'machine-1:1' } }) })).status).toBe(200);
  });

  test('allows no other origin anything', async () => {
    const ask = await listen();
    const preflight = await ask({
      method: 'OPTIONS',
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(403);
    for (const name of Object.keys({
      ...preflight.headers,
      ...(await ask({ headers: signedHeaders({}) })).headers,
    })) {
      expect(name).not.toMatch(/^access-control/);
    }
  });
});

describe('a raw connection', () => {
  function raw(port: number, bytes: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = createConnection({ host: '127.0.0.1', port }, () => socket.write(bytes));
      let heard = '';
      socket.on('data', (chunk) => {
        heard += chunk.toString();
      });
      socket.on('error', () => resolve(heard));
      socket.on('close', () => resolve(heard));
    });
  }

  test('that speaks no HTTP, or too much of it, is cut off with 4xx', async () => {
    const { port } = await api.api.listenTcp('127.0.0.1', 0);
    expect(await raw(port, 'GET\u0000 / nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
    expect(await raw(port, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 4(00|31)/,
    );
  });

  test('whose path climbs gets nowhere', async () => {
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    const blobs = '/shoal/v1/containers/data/blobs';
    for (const path of [
      `${blobs}/..`,
      `${blobs}/../../status`,
      `${blobs}/%2e%2e/x`,
      `${blobs}/a/%2E%2E/%2e%2e/b`,
    ]) {
      expect(await send({ socketPath, path })).toMatchObject({ status: 400, code: 'InvalidArgument' });
    }
    // Decoded once: what is escaped twice is the name of a file with percent signs in it.
    expect(await send({ socketPath, path: `${blobs}/%252e%252e` })).toMatchObject({
      status: 404,
      code: 'ContainerNotFound',
    });
    expect(await send({ socketPath, path: `/pools/../jobs?api-version=${VERSION}` })).toMatchObject({
      status: 400,
      code: 'InvalidUri',
    });
    expect(await send({ socketPath, path: `http://evil.example${POOLS}` })).toMatchObject({
      status: 400,
      code: 'InvalidUri',
    });
  });

  test('whose body breaks off leaves the server well', async () => {
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    await new Promise<void>((resolve) => {
      const socket = createConnection(socketPath, () => {
        socket.write(`POST ${POOLS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"id":`);
        setTimeout(() => socket.destroy(), 30);
      });
      socket.on('close', () => resolve());
    });
    expect((await send({ socketPath })).status).toBe(200);
  });

  test('with a body over the bound hears 413, whether it said so or not', async () => {
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    const body = 'x'.repeat(REQUEST_BODY_BYTES_MAX + 1);
    const declared = await send({
      socketPath,
      method: 'POST',
      body,
      headers: { 'content-length': String(body.length) },
    });
    expect(declared).toMatchObject({ status: 413, code: 'RequestBodyTooLarge' });
    const chunked = await send({
      socketPath,
      method: 'POST',
      body,
      headers: { 'transfer-encoding': 'chunked' },
    });
    expect(chunked).toMatchObject({ status: 413, code: 'RequestBodyTooLarge' });
  });

  test('that goes on sending a refused upload is cut', async () => {
    const socketPath = join(directory, 'api.sock');
    await api.api.listenUnix(socketPath);
    const sent = await new Promise<number>((resolve) => {
      let bytes = 0;
      const socket = createConnection(socketPath, () => {
        socket.write(
          `PUT /shoal/v1/containers/Bad/blobs/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${2 ** 40}\r\n\r\n`,
        );
        const chunk = Buffer.alloc(1024 * 1024);
        const more = (): void => {
          bytes += chunk.length;
          if (!socket.destroyed) socket.write(chunk, () => more());
        };
        more();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(bytes));
    });
    expect(sent).toBeGreaterThan(API_DISCARD_BYTES_MAX);
    expect(sent).toBeLessThan(4 * API_DISCARD_BYTES_MAX);
  });
});

describe('a request', () => {
  test('hears its own id, and the client’s where it asks for it', async () => {
    const answer = await api.ask('GET', '/pools', {
      headers: { 'client-request-id': 'mine', 'return-client-request-id': 'true' },
    });
    expect(answer.headers['request-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    expect(answer.headers['client-request-id']).toBe('mine');
    expect(
      (await api.ask('GET', '/pools', { headers: { 'client-request-id': 'mine' } })).headers[
        'client-request-id'
      ],
    ).toBeUndefined();
  });

  test('is never answered with anything a browser would run', async () => {
    for (const path of ['/pools', '/nowhere', '/shoal/v1/status']) {
      const { headers } = await api.ask('GET', path);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; sandbox",
      });
    }
  });

  test.each([
    ['GET', '/nowhere', 400, 'InvalidUri'],
    ['GET', '/', 400, 'InvalidUri'],
    ['GET', '/pools/', 404, 'PoolNotFound'],
    ['PATCH', '/pools', 405, 'UnsupportedHttpVerb'],
    ['PUT', '/pools/p', 405, 'UnsupportedHttpVerb'],
    ['OPTIONS', '/pools', 405, 'UnsupportedHttpVerb'],
    ['GET', '/pools/%zz', 400, 'InvalidUri'],
    ['GET', '/pools/a%00b', 404, 'PoolNotFound'],
    ['GET', '/pools/a%2Fb', 404, 'PoolNotFound'],
    ['GET', '/pools/..%2f..%2fetc', 404, 'PoolNotFound'],
    ['GET', `/pools/${'x'.repeat(3_000)}`, 404, 'PoolNotFound'],
    ['POST', '/pools/p/nodes/n/users', 400, 'OperationNotSupported'],
    ['GET', '/certificates(thumbprintAlgorithm=sha1,thumbprint=ab)', 400, 'OperationNotSupported'],
    ['GET', '/certificates', 400, 'OperationNotSupported'],
  ] as const)('%s %.60s answers %i %s', async (method, path, status, code) => {
    const answer = await api.ask(method, path);
    expect([answer.status, answer.body?.code]).toEqual([status, code]);
  });

  test.each([
    [null, 'MissingRequiredQueryParameter'],
    ['2017-01-01.4.0', 'UnsupportedRequestVersion'],
  ])('of version %s answers %s', async (version, code) => {
    expect((await api.ask('GET', '/pools', { version })).body.code).toBe(code);
  });

  test('with a body that is no JSON object changes nothing', async () => {
    for (const payload of [
      '{',
      '[]',
      'null',
      '"x"',
      '',
      '{"__proto__":{}}',
      '{"id":"p","vmSize":"machine","resizeTimeout":1e400}',
    ]) {
      const answer = await api.ask('POST', '/pools', {
        payload,
        headers: { 'content-type': 'application/json' },
      });
      expect([answer.status, answer.body.code]).toEqual([400, 'InvalidRequestBody']);
    }
    expect((await api.ask('GET', '/pools')).body.value).toHaveLength(1);
  });

  test('that is repeated under its id has one effect and the same answer', async () => {
    const json = { id: 'p', vmSize: 'machine' };
    const headers = { 'shoal-request-id': randomUUID() };
    const first = await api.ask('POST', '/pools', { json, headers });
    const second = await api.ask('POST', '/pools', { json, headers });
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.etag).toBe(first.headers.etag);
    expect((await api.ask('POST', '/pools', { json })).body.code).toBe('PoolExists');
    expect(
      (await api.ask('POST', '/pools', { json, headers: { 'shoal-request-id': 'x y' } })).body.code,
    ).toBe('InvalidHeaderValue');
  });

  test('that fails inside tells the client nothing and the log everything', async () => {
    api.control.status = () => {
      throw new TypeError('secret path /var/lib');
    };
    const answer = await api.ask('GET', '/shoal/v1/status');
    expect([answer.status, answer.body.code]).toEqual([500, 'InternalError']);
    expect(answer.text).not.toContain('secret');
    expect(JSON.stringify(answer.headers)).not.toContain('secret');
    expect(api.logged).toHaveLength(1);
  });
});
