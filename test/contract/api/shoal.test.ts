import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EVENTS_QUEUED_MAX } from '../../../src/lib/limits.ts';
import type { MeshEvent } from '../../../src/model/control.ts';
import { ApiFixture } from './api-fixture.ts';

let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});
afterEach(() => api.api.close());

describe('our routes', () => {
  test('tell the status', async () => {
    const answer = await api.ask('GET', '/shoal/v1/status');
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.body).toMatchObject({ meshId: 'mesh-1', machine: { name: 'machine-1' } });
  });

  test('make, list and revoke join tokens', async () => {
    const made = await api.ask('POST', '/shoal/v1/tokens', { json: { validMs: 60_000, uses: 2 } });
    expect([made.status, made.headers['cache-control']]).toEqual([201, 'no-store']);
    const { id, token } = made.body;
    expect(token).toBe(`secret-of-${id}`);
    const listed = await api.ask('GET', '/shoal/v1/tokens');
    expect(listed.body.items).toEqual([expect.objectContaining({ id, usesLeft: 2 })]);
    expect(listed.text).not.toContain(token);
    expect((await api.ask('DELETE', `/shoal/v1/tokens/${id}`)).status).toBe(204);
    expect((await api.ask('DELETE', `/shoal/v1/tokens/${id}`)).body.code).toBe('TokenNotFound');
    expect((await api.ask('POST', '/shoal/v1/tokens', { json: { uses: 0 } })).body.code).toBe(
      'InvalidPropertyValue',
    );
  });

  test('find a machine by name, peer or id', async () => {
    const [machine] = (await api.ask('GET', '/shoal/v1/machines')).body.items;
    expect(machine).toMatchObject({ name: 'machine-1', scheduling: 'enabled' });
    expect((await api.ask('POST', '/shoal/v1/machines/MACHINE-1/drain')).status).toBe(204);
    expect((await api.ask('GET', '/shoal/v1/machines')).body.items[0].scheduling).toBe('draining');
    expect(
      (await api.ask('POST', `/shoal/v1/machines/${encodeURIComponent(machine.id)}/undrain`)).status,
    ).toBe(204);
    expect((await api.ask('POST', `/shoal/v1/machines/${machine.peer}/undrain`)).status).toBe(204);
    expect((await api.ask('DELETE', '/shoal/v1/machines/nobody')).body.code).toBe('MachineNotFound');
  });

  test('list the groups and recover one, dry unless confirmed', async () => {
    expect(
      (await api.ask('GET', '/shoal/v1/groups')).body.items.map((item: { group: string }) => item.group),
    ).toContain('pool:default');
    expect((await api.ask('POST', '/shoal/v1/recover', { json: { group: 'mesh' } })).body).toMatchObject({
      mayBeLost: 'nothing',
    });
    expect((await api.ask('POST', '/shoal/v1/recover', { json: { group: 'pool:Default' } })).status).toBe(
      200,
    );
    expect(
      (await api.ask('POST', '/shoal/v1/recover', { json: { group: 'mesh', confirmed: true } })).body.code,
    ).toBe('QuorumAlive');
    expect((await api.ask('POST', '/shoal/v1/recover', { json: { group: 'a/b' } })).body.code).toBe(
      'GroupNotFound',
    );
  });
});

describe('blobs', () => {
  const blob = '/shoal/v1/containers/data/blobs/in/a%20b%2Bc%23%C3%A9.txt';
  const put = (payload: Buffer | string, path = blob) => api.ask('PUT', path, { payload });

  test('are stored, told, read in part and deleted', async () => {
    expect((await api.ask('PUT', '/shoal/v1/containers/data')).status).toBe(201);
    expect((await api.ask('PUT', '/shoal/v1/containers/data')).body.code).toBe('ContainerExists');
    const stored = await put('0123456789');
    expect(stored.status).toBe(201);
    expect(stored.body).toMatchObject({ container: 'data', name: 'in/a b+c#é.txt', sizeBytes: 10 });
    const whole = await api.ask('GET', blob);
    expect([whole.status, whole.text]).toEqual([200, '0123456789']);
    expect(whole.headers).toMatchObject({
      'content-length': '10',
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'accept-ranges': 'bytes',
    });
    const part = await api.ask('GET', blob, { headers: { range: 'bytes=2-4' } });
    expect([part.status, part.text, part.headers['content-range']]).toEqual([206, '234', 'bytes 2-4/10']);
    const end = await api.ask('GET', blob, { headers: { range: 'bytes=-3' } });
    expect([end.status, end.text]).toEqual([206, '789']);
    expect((await api.ask('GET', blob, { headers: { range: 'bytes=10-' } })).status).toBe(416);
    const head = await api.ask('HEAD', blob);
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '10', '']);
    const known = await api.ask('GET', blob, { headers: { 'if-none-match': String(whole.headers.etag) } });
    expect(known.status).toBe(304);
    expect((await api.ask('DELETE', blob)).status).toBe(204);
    expect((await api.ask('GET', blob)).body.code).toBe('BlobNotFound');
    expect((await api.ask('DELETE', '/shoal/v1/containers/data')).status).toBe(204);
  });

  test('may make their container, and may be empty', async () => {
    expect((await put('x')).body.code).toBe('ContainerNotFound');
    expect((await put('', `${blob}?create=true`)).status).toBe(201);
    const read = await api.ask('GET', blob);
    expect([read.status, read.text, read.headers['content-length']]).toEqual([200, '', '0']);
  });

  test('are listed in pages, by prefix', async () => {
    for (const name of ['a/1', 'a/2', 'a/3', 'b/1'])
      await put('x', `/shoal/v1/containers/data/blobs/${name}?create=true`);
    const first = await api.ask('GET', '/shoal/v1/containers/data/blobs?prefix=a/&limit=2');
    expect(first.body.items.map((item: { name: string }) => item.name)).toEqual(['a/1', 'a/2']);
    const second = await api.ask(
      'GET',
      `/shoal/v1/containers/data/blobs?prefix=a/&limit=2&after=${encodeURIComponent(first.body.next)}`,
    );
    expect(second.body.items.map((item: { name: string }) => item.name)).toEqual(['a/3']);
    expect(second.body.next).toBeUndefined();
    const containers = await api.ask('GET', '/shoal/v1/containers');
    expect(containers.body.items).toEqual([
      expect.objectContaining({ name: 'data', blobs: 4, sizeBytes: 4 }),
    ]);
  });

  test.each(['a//b', '..%2fb', 'a%2f..%2fb', 'a%5Cb', 'a%00b', 'x'.repeat(1_025)])(
    'are not called %.20s',
    async (name) => {
      expect((await put('x', `/shoal/v1/containers/data/blobs/${name}`)).status).toBe(400);
    },
  );

  test.each(['Data', 'ab', 'a--b', '..%2f..', 'a_b'])(
    'do not live in a container called %s',
    async (name) => {
      expect((await api.ask('PUT', `/shoal/v1/containers/${name}`)).body.code).toBe('InvalidArgument');
    },
  );
});

describe('events', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'shoal-api-'));
    await api.api.listenUnix(join(directory, 'api.sock'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const event = (index: number): MeshEvent => ({
    timeMs: 1,
    machine: 'm',
    kind: 'task.completed\ndata: forged',
    message: `task ${index} <script>\n\n`,
    data: { index },
  });

  function open(): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        { socketPath: join(directory, 'api.sock'), path: '/shoal/v1/events' },
        resolve,
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
  }

  async function until(condition: () => boolean): Promise<void> {
    const deadline = Date.now() + 5_000;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error('the condition was never met');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  test('arrive as they happen, one to a frame, and stop with the client', async () => {
    const stream = await open();
    expect(stream.headers['content-type']).toBe('text/event-stream');
    let heard = '';
    stream.on('data', (chunk) => {
      heard += String(chunk);
    });
    await until(() => api.control.listeners === 1);
    api.control.emit(event(1));
    api.control.emit(event(2));
    await until(() => heard.includes('task 2'));
    const frames = heard.split('\n\n').filter((frame) => frame.startsWith('event:'));
    expect(frames).toHaveLength(2);
    for (const frame of frames) {
      const lines = frame.split('\n');
      expect(lines).toHaveLength(2);
      expect(lines[0]).toBe('event: task.completeddataforged');
      expect(JSON.parse(String(lines[1]).slice('data: '.length))).toMatchObject({
        kind: 'task.completed\ndata: forged',
      });
    }
    stream.destroy();
    await until(() => api.control.listeners === 0);
  });

  test('of a client that does not read are bounded, and it hears how many are gone', async () => {
    const stream = await open();
    await until(() => api.control.listeners === 1);
    const padding = 'x'.repeat(4_096);
    const count = 8 * EVENTS_QUEUED_MAX;
    for (let index = 0; index < count; index += 1) api.control.emit({ ...event(index), message: padding });
    let heard = '';
    stream.on('data', (chunk) => {
      heard += String(chunk);
    });
    await until(() => heard.includes(`"index":${count - 1}`));
    expect(heard).toContain('event: events.dropped');
    stream.destroy();
  });
});
