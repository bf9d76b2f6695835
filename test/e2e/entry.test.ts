/** How machines enter a mesh and leave it. */
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { CreatedToken } from '../../src/client/mesh.ts';
import type { TaskResource } from '../../src/client/shapes.ts';
import type { MachineEntity, TokenEntity } from '../../src/model/queries.ts';
import { type Ran, shoal, shoalJson } from './shell.ts';

const STEP_MS_MAX = 20_000;
let mesh: LocalMesh;
let scratch: string;
let first: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-entry-'));
  await chmod(scratch, 0o711);
  mesh = await LocalMesh.start(2);
  first = mesh.alive().data;
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});

function machines(): Promise<readonly MachineEntity[]> {
  return shoalJson(['machine', 'list'], { data: first });
}

async function token(): Promise<CreatedToken> {
  return shoalJson(['token', 'create'], { data: first });
}

function join_(data: string, text: string): Promise<Ran> {
  return shoal(['join', text, '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0', '--name', 'guest'], { data });
}

describe('before a machine belongs to a mesh', () => {
  it('its commands say that no agent answers, with exit code 6', async () => {
    const data = join(scratch, 'nothing');
    for (const words of [['status'], ['job', 'list'], ['doctor'], ['run', '--', 'true']]) {
      const { code } = await shoal(words, { data });
      expect(code, words.join(' ')).toBe(6);
    }
  });

  it('its agent does not start, and says what to do', async () => {
    const { code, stderr } = await shoal(['agent'], { data: join(scratch, 'nothing') });
    expect(code).toBe(4);
    expect(stderr).toContain('shoal init');
  });
});

describe('a token', () => {
  it('lets in one machine; the second with it is refused and may come with another', async () => {
    const { token: text } = await token();
    expect(await join_(join(scratch, 'guest'), text)).toMatchObject({ code: 0 });
    expect((await machines()).map(({ name }) => name)).toContain('guest');

    const late = join(scratch, 'late');
    const refused = await join_(late, text);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/used|revoked/);
    expect(await join_(late, (await token()).token)).toMatchObject({ code: 0 });
    for (const { name } of (await machines()).filter(({ alive }) => !alive))
      expect(await shoal(['machine', 'remove', name], { data: first })).toMatchObject({ code: 0 });
  });

  it('that is revoked lets nobody in', async () => {
    const { id, token: text } = await token();
    expect(await shoal(['token', 'revoke', id], { data: first })).toMatchObject({ code: 0 });
    const open = await shoalJson<readonly TokenEntity[]>(['token', 'list'], { data: first });
    expect(open.map((one) => one.id)).not.toContain(id);
    const { code, stderr } = await join_(join(scratch, 'revoked'), text);
    expect(code).toBe(2);
    expect(stderr).toContain('shoal token create');
  });

  it('that is cut short is told from one that is refused, and nothing is left behind', async () => {
    const data = join(scratch, 'short');
    const { code, stderr } = await join_(data, (await token()).token.slice(0, 200));
    expect(code).toBe(2);
    expect(stderr).toContain('copy the whole of it');
    expect(await readdir(data).catch(() => [])).toEqual([]);
  });
});

describe('a data directory', () => {
  it('belongs to one mesh', async () => {
    const { code, stderr } = await shoal(['init'], { data: first });
    expect(code).toBe(4);
    expect(stderr).toContain('already belongs to a mesh');
  });

  it('has one agent', async () => {
    const { code, stderr } = await shoal(['agent'], { data: first });
    expect(code).toBe(4);
    expect(stderr).toContain('Another agent already uses');
    expect(await shoal(['status'], { data: first })).toMatchObject({ code: 0 });
  });
});

describe('an address', () => {
  it('that is none is refused before anything is written', async () => {
    const data = join(scratch, 'nowhere');
    const { code, stderr } = await shoal(['init', '--listen', '0.0.0.0:7411'], { data });
    expect(code).toBe(2);
    expect(stderr).toContain('/ip4/192.0.2.7/tcp/7411, not 0.0.0.0:7411');
    expect(await readdir(data).catch(() => [])).toEqual([]);
  });

  it('that somebody else listens on is named by the agent that wanted it', async () => {
    const [taken = ''] = (await mesh.status(mesh.alive()))?.machine.addresses ?? [];
    const data = join(scratch, 'twice');
    expect(await shoal(['init', '--no-mdns', '--listen', taken], { data })).toMatchObject({ code: 0 });
    const { code, stderr } = await shoal(['agent'], { data });
    expect(code).toBe(4);
    expect(stderr).toContain(`cannot listen on ${taken}: listen EADDRINUSE`);
  });
});

describe('a machine that is a member', () => {
  it('gets nothing new while it drains, and work again afterwards', async () => {
    const [, drained] = mesh.agents;
    if (drained === undefined) throw new Error('there are two agents');
    const id = (await mesh.status(drained))?.machine.id;
    expect(await shoal(['machine', 'drain', drained.name], { data: first })).toMatchObject({ code: 0 });
    expect(await machinesOf('drained')).not.toContain(id);
    expect(await shoal(['machine', 'undrain', drained.name], { data: first })).toMatchObject({ code: 0 });
    await mesh.settle();
    expect(await machinesOf('undrained')).toContain(id);
  });

  it('loses its links and its tasks when it is removed', async () => {
    const [, removed] = mesh.agents;
    if (removed === undefined) throw new Error('there are two agents');
    const id = (await mesh.status(removed))?.machine.id;
    const { client } = mesh.alive();
    await client.jobs.add({ id: 'left', poolInfo: { poolId: 'default' } });
    await client.tasks.addAll(
      'left',
      Array.from({ length: 4 }, (_, task) => ({ id: `t${task}`, commandLine: '/bin/sleep 3' })),
    );
    await until('a task runs there', STEP_MS_MAX, async () =>
      (await tasksOf('left')).some(({ state, shoal: at }) => state === 'running' && at?.machine === id),
    );
    expect(await shoal(['machine', 'remove', removed.name], { data: first })).toMatchObject({ code: 0 });
    await until('both sides have cut the link', STEP_MS_MAX, async () => {
      const [here, there] = await Promise.all(mesh.agents.map((agent) => mesh.status(agent)));
      return here?.connectedPeers.length === 0 && there?.connectedPeers.length === 0;
    });
    expect((await machines()).map(({ name }) => name)).not.toContain(removed.name);
    await until('every task has ended on the machine that is left', STEP_MS_MAX, async () => {
      const tasks = await tasksOf('left');
      return tasks.every(({ state, shoal: at }) => state === 'completed' && at?.machine !== id);
    });
  });
});

/** The machines that a handful of tasks ran on. */
async function machinesOf(job: string): Promise<readonly (string | undefined)[]> {
  const items = Array.from({ length: 8 }, (_, item) => String(item));
  const words = ['run', '--name', job, '--shell', '--', 'sleep 0.2; echo {}', ':::', ...items];
  expect(await shoal(words, { data: first })).toMatchObject({ code: 0, stderr: '' });
  return (await tasksOf(job)).map(({ shoal: at }) => at?.machine);
}

async function tasksOf(job: string): Promise<readonly TaskResource[]> {
  return shoalJson(['task', 'list', job], { data: first });
}
