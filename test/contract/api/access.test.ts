import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { checkServerIdentity, connect, type PeerCertificate } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Authority } from '../../../src/api/authority.ts';
import { issueBearerToken } from '../../../src/lib/bearer-token.ts';
import { ApiFixture, VERSION } from './api-fixture.ts';
import { ACCOUNT, ACCOUNT_KEY } from './local-control.ts';

const HOUR_MS = 3_600_000;
let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});
afterEach(() => api.api.close());

function token(job?: string, validMs = HOUR_MS, secret = ACCOUNT_KEY): string {
  const scope = job === undefined ? ({ kind: 'account' } as const) : ({ kind: 'job', job } as const);
  return issueBearerToken({ account: ACCOUNT, scope, expiresAtMs: Date.now() + validMs }, secret);
}

async function ask(
  url: string,
  path: string,
  bearer: string,
  init: { readonly method?: string; readonly body?: unknown } = {},
): Promise<{ readonly status: number; readonly code: string | undefined; readonly body: unknown }> {
  const answer = await fetch(`${url}${path}`, {
    method: init.method ?? 'GET',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
  });
  const said = await answer.text();
  const body: unknown = said === '' ? undefined : JSON.parse(said);
  return { status: answer.status, code: (body as { code?: string } | undefined)?.code, body };
}

const at = (path: string): string => `${path}?api-version=${VERSION}`;

describe('a bearer token', () => {
  let url: string;
  beforeEach(async () => {
    const { port } = await api.api.listenTcp('127.0.0.1', 0);
    url = `http://127.0.0.1:${port}`;
  });

  test('of the account may do what the key may, but for what opens the mesh', async () => {
    const job = { id: 'one', poolInfo: { poolId: 'default' } };
    expect(await ask(url, at('/jobs'), token(), { method: 'POST', body: job })).toMatchObject({
      status: 201,
    });
    expect(await ask(url, at('/pools'), token())).toMatchObject({ status: 200 });
    for (const [method, path] of [
      ['GET', '/shoal/v1/account'],
      ['POST', '/shoal/v1/tokens'],
      ['POST', '/shoal/v1/access-tokens'],
    ] as const)
      expect(await ask(url, path, token(), { method }), path).toMatchObject({
        status: 403,
        code: 'InsufficientAccountPermissions',
      });
  });

  test('of a job reaches that job, in any case of its letters, and nothing else', async () => {
    for (const id of ['mine', 'other'])
      await ask(url, at('/jobs'), token(), { method: 'POST', body: { id, poolInfo: { poolId: 'default' } } });
    const mine = token('Mine');
    const task = { id: 't', commandLine: '/bin/true' };
    expect(await ask(url, at('/jobs/mine'), mine)).toMatchObject({ status: 200 });
    expect(await ask(url, at('/jobs/mine/tasks'), mine, { method: 'POST', body: task })).toMatchObject({
      status: 201,
    });
    for (const path of ['/jobs/other', '/jobs', '/pools', '/jobs/other/tasks'])
      expect(await ask(url, at(path), mine), path).toMatchObject({
        status: 403,
        code: 'InsufficientAccountPermissions',
      });
  });

  test('of a job does not climb out of it, however the path is written', async () => {
    for (const id of ['mine', 'other'])
      await ask(url, at('/jobs'), token(), { method: 'POST', body: { id, poolInfo: { poolId: 'default' } } });
    const { port } = new URL(url);
    for (const path of [
      '/jobs/mine/../other',
      '/jobs/mine/%2e%2e/other',
      '/jobs/mine%2f..%2fother',
      '/jobs/mine%00',
      '//jobs/other',
      '/jobs/other?job=mine',
      '/jobs/other#/jobs/mine',
      '/jobschedules/mine',
      '/pools/mine',
      '/shoal/v1/jobs/other/tasks/t/explanation',
    ]) {
      const { status } = await rawGet(Number(port), at(path), token('mine'));
      expect([400, 403, 404], path).toContain(status);
    }
    expect((await rawGet(Number(port), at('/jobs/%6Dine'), token('mine'))).status).toBe(200);
  });

  test.each([
    ['has expired', () => token(undefined, -1)],
    ['was signed with another secret', () => token(undefined, HOUR_MS, 'b3RoZXI=')],
    ['is cut short', () => token().slice(0, -3)],
    ['is longer than any', () => `shoal_${'a'.repeat(5_000)}.b`],
    ['is no token', () => 'eyJhbGciOiJub25lIn0.e30.'],
    [
      'was changed',
      () => {
        const [, signature] = token('mine').split('.');
        const payload = Buffer.from(JSON.stringify({ account: ACCOUNT, expiresAtMs: 9e15 })).toString(
          'base64url',
        );
        return `shoal_${payload}.${signature}`;
      },
    ],
  ])('that %s is refused', async (_what, make) => {
    expect(await ask(url, at('/pools'), make())).toMatchObject({ status: 403, code: 'AuthenticationFailed' });
  });

  test('is made over the socket, for a job or for the account', async () => {
    const made = await api.api.inject({
      method: 'POST',
      url: '/shoal/v1/access-tokens',
      payload: { job: 'mine', validMs: 60_000 },
    });
    expect(made.statusCode).toBe(201);
    expect(made.headers['cache-control']).toBe('no-store');
    expect(await ask(url, at('/jobs/mine'), made.json().token)).toMatchObject({ code: 'JobNotFound' });
  });
});

describe('off loopback', () => {
  test('plain HTTP is not served', async () => {
    await expect(api.api.listenTcp('0.0.0.0', 0)).rejects.toMatchObject({ code: 'InvalidArgument' });
  });

  test('a client that trusts the mesh’s authority reaches any peer by its names and addresses', async () => {
    const authority = await Authority.of('mesh', ACCOUNT_KEY);
    const certificate = await authority.issue([hostname(), 'localhost', '127.0.0.1'], Date.now());
    const { port } = await api.api.listenTcp('0.0.0.0', 0, certificate);
    // Another peer makes the same authority from the same secret.
    const ca = await (await Authority.of('mesh', ACCOUNT_KEY)).certificate();
    const answer = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token()}`, host: `127.0.0.1:${port}` };
      const options = { host: '127.0.0.1', port, ca, path: at('/pools/default'), headers, agent: false };
      request(options, async (response) =>
        resolve({ status: response.statusCode, body: await text(response) }),
      )
        .on('error', reject)
        .end();
    });
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body).url).toBe(`https://127.0.0.1:${port}/pools/default`);
    expect(api.api.url()).toBe(`https://${hostname()}:${port}`);
    expect(checkServerIdentity('elsewhere.example', await peerCertificate(port, ca))).toBeInstanceOf(Error);
  });

  test('a client without that authority is not taken in', async () => {
    const authority = await Authority.of('mesh', ACCOUNT_KEY);
    const { port } = await api.api.listenTcp('0.0.0.0', 0, await authority.issue(['127.0.0.1'], Date.now()));
    const stranger = await (await Authority.of('mesh', 'c3RyYW5nZXI=')).certificate();
    await expect(peerCertificate(port, stranger)).rejects.toThrow(/certificate/i);
  });
});

/** The path exactly as it stands there. */
function rawGet(port: number, path: string, bearer: string): Promise<{ readonly status: number }> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, '127.0.0.1', () => {
      const head = `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${bearer}\r\n`;
      socket.write(`${head}connection: close\r\n\r\n`);
    });
    let said = '';
    socket.on('data', (chunk) => {
      said += String(chunk);
    });
    socket.once('error', reject);
    socket.once('close', () => resolve({ status: Number(said.split(' ')[1]) }));
  });
}

function peerCertificate(port: number, ca: string): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
