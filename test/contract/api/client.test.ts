import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ShoalClient } from '../../../src/client/client.ts';
import { SocketTransport } from '../../../src/client/socket-transport.ts';
import { ApiFixture } from './api-fixture.ts';
import { ACCOUNT, ACCOUNT_KEY } from './local-control.ts';

let api: ApiFixture;
let node: string;
let directory: string;
beforeEach(async () => {
  api = new ApiFixture();
  node = await api.withNode();
  directory = await mkdtemp(join(tmpdir(), 'shoal-client-'));
});
afterEach(async () => {
  await api.api.close();
  await rm(directory, { recursive: true });
});

async function connect(kind: 'socket' | 'endpoint'): Promise<ShoalClient> {
  if (kind === 'socket') {
    const path = join(directory, 'api.sock');
    await api.api.listenUnix(path);
    return new ShoalClient(new SocketTransport({ kind, path }));
  }
  await api.api.listenTcp('127.0.0.1', 0);
  const credentials = { account: ACCOUNT, key: ACCOUNT_KEY };
  return new ShoalClient(new SocketTransport({ kind, url: new URL(api.api.url() ?? ''), credentials }));
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function textOf(answer: { readonly body: AsyncIterable<Uint8Array> }): Promise<string> {
  return Buffer.concat(await all(answer.body)).toString();
}

describe.each(['socket', 'endpoint'] as const)('our own client over a %s', (kind) => {
  test('runs a job from end to end', async () => {
    const client = await connect(kind);
    expect((await client.mesh.status()).machine.name).toBe('machine-1');
    expect((await all(client.pools.list())).map((pool) => pool.id)).toEqual(['default', 'p']);
    await client.jobs.add({ id: 'j', poolInfo: { poolId: 'p' } });
    await expect(client.jobs.add({ id: 'j', poolInfo: { poolId: 'p' } })).rejects.toMatchObject({
      code: 'JobExists',
    });
    const specs = Array.from({ length: 1_234 }, (_, index) => ({
      id: `t-${index}`,
      commandLine: '/bin/true',
    }));
    expect(await client.tasks.addAll('j', specs)).toBe(1_234);
    expect((await all(client.tasks.list('j', { select: ['id'] }))).map((task) => task.id)).toEqual(
      specs.map((spec) => spec.id),
    );
    expect(await client.jobs.taskCounts('j')).toMatchObject({ active: 1_234 });
    const epoch = await api.control.start('j', 't-3', node);
    api.control.files.writeTaskFile('j', 't-3', 'stdout.txt', 'done');
    await api.control.finish('j', 't-3', { node, epoch, exitCode: 0 });
    expect(await textOf(await client.tasks.openFile('j', 't-3', 'stdout.txt'))).toBe('done');
    expect(await textOf(await client.tasks.followFile('j', 't-3', 'stdout.txt'))).toBe('done');
    expect((await all(client.tasks.files('j', 't-3', { recursive: true }))).map((file) => file.name)).toEqual(
      ['stdout.txt'],
    );
    expect((await client.tasks.explain('j', 't-5')).state).toBe('active');
    await client.jobs.terminate('j', 'enough');
    expect((await client.jobs.get('j')).executionInfo?.terminateReason).toBe('enough');
    await client.jobs.delete('j');
    client.close();
  });

  test('stores and reads blobs', async () => {
    const client = await connect(kind);
    await client.blobs.createContainer('data');
    const bytes = Buffer.alloc(300_000, 'x');
    const open = async function* (): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 100_000);
      yield bytes.subarray(100_000);
    };
    await client.blobs.put('data', 'in/a b+c#é', { open, length: bytes.length });
    await client.blobs.put('data', 'chunked', { open });
    expect((await all(client.blobs.list('data'))).map((blob) => [blob.name, blob.sizeBytes])).toEqual([
      ['chunked', 300_000],
      ['in/a b+c#é', 300_000],
    ]);
    expect(await client.blobs.size('data', 'in/a b+c#é')).toBe(300_000);
    expect(await textOf(await client.blobs.open('data', 'in/a b+c#é'))).toBe(bytes.toString());
    await client.blobs.delete('data', 'chunked');
    await expect(client.blobs.open('data', 'chunked')).rejects.toMatchObject({ code: 'BlobNotFound' });
    client.close();
  });

  test('hears events', async () => {
    const client = await connect(kind);
    const events = client.mesh.events();
    const first = events.next();
    const event = { timeMs: 1, machine: 'm', kind: 'task.completed', message: 'x', data: {} };
    while (api.control.listeners === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    api.control.emit(event);
    expect((await first).value).toEqual(event);
    await events.return(undefined);
    client.close();
  });
});
