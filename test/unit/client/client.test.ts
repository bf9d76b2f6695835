import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ShoalClient } from '../../../src/client/client.ts';
import { RemoteError } from '../../../src/client/remote-error.ts';
import { SocketTransport } from '../../../src/client/socket-transport.ts';
import type { HttpAnswer } from '../../../src/client/transport.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { LocalServer, sendError, sendJson } from './local-server.ts';

let server: LocalServer;
let client: ShoalClient;

beforeEach(async () => {
  server = await LocalServer.onSocket();
  client = new ShoalClient(new SocketTransport({ kind: 'socket', path: server.socket }));
});

afterEach(async () => {
  client.close();
  await server.close();
});

async function failure(promise: Promise<unknown>): Promise<ShoalError> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ShoalError);
  return thrown as ShoalError;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function bytesOf(answer: HttpAnswer): Promise<Buffer> {
  return Buffer.concat(await collect(answer.body));
}

describe('a request', () => {
  test('carries the api version, and a write a request id', async () => {
    server.respond = (_request, response) => void response.writeHead(201).end();
    await client.pools.add({ id: 'p', vmSize: 'machine' });
    const [seen] = server.seen;
    expect(seen?.target).toBe('/pools?api-version=2022-10-01.16.0');
    expect(JSON.parse(seen?.body ?? '')).toEqual({ id: 'p', vmSize: 'machine' });
    expect(seen?.headers['shoal-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(seen?.headers['content-type']).toContain('application/json');
  });

  test('keeps ids in their place whatever they hold', async () => {
    server.respond = (_request, response) => sendJson(response, {});
    await client.tasks.get('a/b', '../x?y=1');
    await client.blobs.open('c', 'ä/ö #?.txt').then((answer) => answer.drain());
    expect(server.seen.map((seen) => seen.target)).toEqual([
      '/jobs/a%2Fb/tasks/..%2Fx%3Fy%3D1?api-version=2022-10-01.16.0',
      '/shoal/v1/containers/c/blobs/%C3%A4/%C3%B6%20%23%3F.txt',
    ]);
  });

  test('is sent again with the same request id after ServerBusy', async () => {
    server.respond = (_request, response) => {
      if (server.seen.length < 3) sendError(response, 503, 'ServerBusy');
      else response.writeHead(202).end();
    };
    await client.jobs.terminate('j', 'enough');
    const ids = new Set(server.seen.map((seen) => seen.headers['shoal-request-id']));
    expect(server.seen).toHaveLength(3);
    expect(ids.size).toBe(1);
  });

  test('is sent again after the agent closed a kept-alive connection', async () => {
    server.respond = (_request, response) => {
      if (server.seen.length === 2) response.socket?.destroy();
      else sendJson(response, { id: 'j' });
    };
    await client.jobs.get('j');
    expect(await client.jobs.get('j')).toEqual({ id: 'j' });
    expect(server.seen).toHaveLength(3);
  });

  test('is not sent again for an error that will stay', async () => {
    server.respond = (_request, response) => sendError(response, 404, 'JobNotFound');
    expect((await failure(client.jobs.get('j'))).code).toBe('JobNotFound');
    expect(server.seen).toHaveLength(1);
  });

  test('fails at once where no agent ever answered', async () => {
    const other = new ShoalClient(new SocketTransport({ kind: 'socket', path: `${server.socket}.none` }));
    const error = await failure(other.mesh.status());
    expect(error.code).toBe('AgentUnreachable');
    expect(error.hint).toContain('shoal agent');
  });

  test('rejects with the reason of its signal', async () => {
    server.respond = () => {};
    const stop = new AbortController();
    const pending = client.mesh.status({ signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(pending).rejects.toThrow('enough');
  });
});

describe('an error answer', () => {
  test('keeps code, values, hint and request id, and loses the lines that Azure adds to messages', async () => {
    server.respond = (_request, response) =>
      sendError(response, 400, 'InvalidPropertyValue', {
        values: { PropertyName: 'vmSize' },
        hint: 'Try machine.',
      });
    const error = await failure(client.pools.add({ id: 'p', vmSize: '?' }));
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({
      code: 'InvalidPropertyValue',
      message: 'It is InvalidPropertyValue.',
      values: { PropertyName: 'vmSize' },
      hint: 'Try machine.',
      status: 400,
      requestId: 'r-1',
    });
  });

  test('with a code we do not know becomes one by its status, and the code is kept', async () => {
    server.respond = (_request, response) => sendError(response, 409, 'PoolQuotaReached');
    expect(await failure(client.pools.delete('p'))).toMatchObject({
      code: 'OperationInvalidForCurrentState',
      values: { Code: 'PoolQuotaReached' },
    });
  });

  test('that is no JSON at all still has a code', async () => {
    server.respond = (_request, response) => void response.writeHead(403).end('<html>no</html>');
    expect((await failure(client.pools.delete('p'))).code).toBe('Forbidden');
  });
});

describe('a list', () => {
  test('is read page by page, on the connection it began on', async () => {
    server.respond = (request, response) => {
      const token = new URL(request.target, 'http://x').searchParams.get('$skiptoken');
      const link = { 'odata.nextLink': 'https://elsewhere.example/jobs?api-version=1&$skiptoken=two' };
      sendJson(
        response,
        token === null ? { value: [{ id: 'a' }, { id: 'b' }], ...link } : { value: [{ id: 'c' }] },
      );
    };
    const jobs = await collect(
      client.jobs.list({ filter: "state eq 'active'", select: ['id'], pageSize: 2 }),
    );
    expect(jobs.map((job) => job.id)).toEqual(['a', 'b', 'c']);
    expect(server.seen[0]?.target).toContain('maxresults=2');
    expect(server.seen[1]?.target).toBe('/jobs?api-version=1&$skiptoken=two');
  });

  test('asks for no page that its reader does not come to', async () => {
    server.respond = (_request, response) =>
      sendJson(response, { value: [{ id: 'a' }], 'odata.nextLink': 'http://x/jobs?$skiptoken=2' });
    for await (const job of client.jobs.list()) {
      expect(job.id).toBe('a');
      break;
    }
    expect(server.seen).toHaveLength(1);
  });

  test('of blobs goes on behind the last name', async () => {
    server.respond = (request, response) =>
      request.target.includes('after=')
        ? sendJson(response, { items: [{ name: 'b' }] })
        : sendJson(response, { items: [{ name: 'a' }], next: 'a' });
    expect((await collect(client.blobs.list('c', 'p/'))).map((blob) => blob.name)).toEqual(['a', 'b']);
    expect(server.seen[0]?.target).toContain('prefix=p%2F');
  });
});

describe('tasks added by the thousand', () => {
  const specs = (count: number): { id: string; commandLine: string }[] =>
    Array.from({ length: count }, (_, index) => ({ id: `t${index}`, commandLine: 'true' }));

  test('go in chunks of the extended size, in order', async () => {
    server.respond = (request, response) => {
      const { value } = JSON.parse(request.body) as { value: { id: string }[] };
      sendJson(response, { value: value.map((task) => ({ taskId: task.id, status: 'success' })) });
    };
    expect(await client.tasks.addAll('j', specs(12_000))).toBe(12_000);
    const sizes = server.seen.map((seen) => (JSON.parse(seen.body) as { value: unknown[] }).value.length);
    expect(sizes).toEqual([5_000, 5_000, 2_000]);
    expect(server.seen[0]?.headers['shoal-tasks-per-add']).toBe('extended');
  });

  test('are halved where the agent finds the body too large', async () => {
    const accepted: string[] = [];
    server.respond = (request, response) => {
      const { value } = JSON.parse(request.body) as { value: { id: string }[] };
      if (value.length > 3) return sendError(response, 413, 'RequestBodyTooLarge');
      accepted.push(...value.map((task) => task.id));
      sendJson(response, { value: value.map((task) => ({ taskId: task.id, status: 'success' })) });
    };
    await client.tasks.addAll('j', specs(10));
    expect(accepted).toEqual(specs(10).map((spec) => spec.id));
  });

  test('are sent again one by one where only some failed for a passing reason', async () => {
    server.respond = (request, response) => {
      const { value } = JSON.parse(request.body) as { value: { id: string }[] };
      const status = (id: string): string =>
        id === 't1' && server.seen.length === 1 ? 'servererror' : 'success';
      sendJson(response, { value: value.map((task) => ({ taskId: task.id, status: status(task.id) })) });
    };
    await client.tasks.addAll('j', specs(3));
    expect((JSON.parse(server.seen[1]?.body ?? '') as { value: unknown[] }).value).toHaveLength(1);
  });

  test('stop at the first refusal, which names the task', async () => {
    server.respond = (_request, response) =>
      sendJson(response, {
        value: [
          {
            taskId: 't0',
            status: 'clienterror',
            error: { code: 'TaskExists', message: { value: 'Twice.' } },
          },
        ],
      });
    expect(await failure(client.tasks.addAll('j', specs(1)))).toMatchObject({
      code: 'TaskExists',
      message: 'Task t0: Twice.',
      values: { TaskId: 't0' },
    });
  });
});

describe('bytes', () => {
  test('go up as a stream of known length and come down as they are', async () => {
    const content = Buffer.alloc(3_000_000, 'shoal');
    server.respond = (request, response) =>
      request.method === 'PUT' ? void response.writeHead(201).end() : void response.end(content);
    async function* open(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536);
    }
    await client.blobs.put('c', 'n', { open, length: content.length });
    expect(server.seen[0]?.headers['content-length']).toBe(String(content.length));
    expect(server.seen[0]?.body.length).toBe(content.length);
    expect((await bytesOf(await client.blobs.open('c', 'n'))).equals(content)).toBe(true);
  });

  test('are read anew from their source when the upload is repeated', async () => {
    server.respond = (_request, response) =>
      server.seen.length === 1 ? sendError(response, 503, 'ServerBusy') : void response.writeHead(201).end();
    let opened = 0;
    async function* open(): AsyncGenerator<Uint8Array> {
      opened += 1;
      yield Buffer.from('abc');
    }
    await client.blobs.put('c', 'n', { open });
    expect(opened).toBe(2);
    expect(server.seen[1]?.body).toBe('abc');
  });

  test('that end before their announced length are an error, not a short file', async () => {
    server.respond = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('only this');
      setTimeout(() => response.socket?.destroy(), 20);
    };
    const answer = await client.blobs.open('c', 'n');
    expect((await failure(bytesOf(answer))).code).toBe('PeerUnreachable');
  });

  test('a source that fails ends the upload with its own error', async () => {
    server.respond = (_request, response) => void response.writeHead(201).end();
    async function* open(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('abc');
      throw new ShoalError('DiskFull');
    }
    expect((await failure(client.blobs.put('c', 'n', { open }))).code).toBe('DiskFull');
  });
});

describe('events', () => {
  test('come as they happen, and end when the reader leaves', async () => {
    let closed = false;
    server.respond = (_request, response) => {
      response.on('close', () => {
        closed = true;
      });
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
      for (const kind of ['node.lost', 'task.completed']) {
        response.write(`event: ${kind}\ndata: ${JSON.stringify({ kind, timeMs: 1 })}\n\n`);
      }
    };
    const kinds: string[] = [];
    for await (const event of client.mesh.events()) {
      kinds.push(event.kind);
      if (kinds.length === 2) break;
    }
    expect(kinds).toEqual(['node.lost', 'task.completed']);
    await expect.poll(() => closed).toBe(true);
  });
});

describe('an endpoint', () => {
  test('gets requests that verify against the account key, with the date of now', async () => {
    const key = Buffer.from('a secret of the mesh').toString('base64');
    const remote = await LocalServer.onPort();
    const signed = new ShoalClient(
      new SocketTransport({
        kind: 'endpoint',
        url: new URL(remote.url),
        credentials: { account: 'acme', key },
      }),
    );
    try {
      remote.respond = (_request, response) => sendJson(response, { value: [] });
      await collect(signed.jobs.list({ filter: "id eq 'ä b'" }));
      const seen = remote.seen[0];
      const date = String(seen?.headers['ocp-date']);
      expect(Math.abs(Date.parse(date) - Date.now())).toBeLessThan(10_000);
      const text =
        `GET\n\n\n\n\n\n\n\n\n\n\n\nocp-date:${date}\n/acme/jobs` +
        "\n$filter:id eq 'ä b'\napi-version:2022-10-01.16.0";
      const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
      expect(seen?.headers.authorization).toBe(`SharedKey acme:${signature}`);
    } finally {
      signed.close();
      await remote.close();
    }
  });
});
