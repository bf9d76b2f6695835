/** Application packages on three agents: from a zip file to the environment of a task on another machine. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { NodeResource, TaskResource } from '../../src/client/shapes.ts';
import type { ApplicationRecord } from '../../src/model/application.ts';
import { LINK, PROGRAM, type ZipEntry, zipOf } from '../unit/files/zip-file.ts';
import { shoal, shoalJson } from './shell.ts';

let mesh: LocalMesh;
let scratch: string;
let first = '';
let second = '';
let third = '';

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-applications-'));
  mesh = await LocalMesh.start(3);
  [first = '', second = '', third = ''] = mesh.agents.map(({ data }) => data);
});
afterAll(async () => {
  await mesh?.stop();
  await rm(scratch, { recursive: true, force: true });
});

async function ok(words: readonly string[], data = first): Promise<string> {
  const ran = await shoal(words, { data, directory: scratch });
  expect(ran, ran.stderr).toMatchObject({ code: 0 });
  return ran.stdout;
}

async function put(
  app: string,
  version: string,
  entries: readonly ZipEntry[],
  ...flags: string[]
): Promise<void> {
  const file = `${app}-${version}.zip`;
  await writeFile(join(scratch, file), zipOf(entries));
  await ok(['app', 'put', app, version, file, ...flags]);
}

const greeter = (greeting: string): readonly ZipEntry[] => [
  { name: 'bin/greet', content: `#!/bin/sh\necho ${greeting} "$1"\n`, mode: PROGRAM },
  { name: 'greet', content: 'bin/greet', mode: LINK },
];

it('programs of packages run on nodes of any machine, by reference of the pool and of the task', async () => {
  await put('greeter', '1.0', greeter('hello'), '--default');
  await put('greeter', '2.0-x', greeter('welcome'));
  const applications = await shoalJson<readonly ApplicationRecord[]>(['app', 'list'], { data: second });
  expect(applications).toMatchObject([
    { id: 'greeter', defaultVersion: '1.0', packages: [{ version: '1.0' }, { version: '2.0-x' }] },
  ]);
  await ok(['pool', 'create', 'polite', '--nodes', '3', '--size', 'shoal.1c1g', '--app', 'greeter'], second);
  await ok(['job', 'create', 'greetings', '--pool', 'polite']);
  for (const name of ['ann', 'ben', 'cem']) {
    const command = `"$AZ_BATCH_APP_PACKAGE_greeter/greet" ${name}; "$AZ_BATCH_APP_PACKAGE_GREETER_2_0_X/bin/greet" ${name}`;
    const flags = ['--id', name, '--app', 'greeter:2.0-x', '--shell'];
    await ok(['task', 'add', 'greetings', ...flags, '--', command], third);
  }
  await ok(['task', 'add', 'greetings', '--id', 'lost', '--app', 'greeter:3', '--', 'true']);
  await shoal(['job', 'wait', 'greetings', '--timeout', '60s'], { data: second });
  for (const name of ['ann', 'ben', 'cem']) {
    expect(await ok(['task', 'logs', 'greetings', name], third)).toBe(`hello ${name}\nwelcome ${name}\n`);
  }
  const lost = await shoalJson<TaskResource>(['task', 'show', 'greetings', 'lost'], { data: second });
  expect(lost.executionInfo?.failureInfo).toMatchObject({ code: 'ApplicationPackageError' });
  expect(lost.executionInfo?.failureInfo?.message).toContain('greeter 3');

  const refused = await shoal(['app', 'rm', 'greeter', '1.0'], { data: second });
  expect(refused.stderr).toContain('polite');
  await ok(['app', 'rm', 'greeter', '2.0-x'], second);
});

it('a node that cannot have the packages of its pool is unusable, says why, and takes tasks once it can', async () => {
  await put('broken', '1', [{ name: '../outside', content: 'x' }], '--default');
  await ok(['pool', 'create', 'hurt', '--nodes', '1', '--size', 'shoal.1c1g', '--app', 'broken']);
  const node = async (): Promise<NodeResource | undefined> =>
    (await shoalJson<readonly NodeResource[]>(['node', 'list', '--pool', 'hurt'], { data: second }))[0];
  await until('the node is unusable', 40_000, async () => (await node())?.state === 'unusable');
  expect((await node())?.errors).toMatchObject([{ code: 'ApplicationPackageError' }]);
  await ok(['job', 'create', 'patient', '--pool', 'hurt']);
  await ok(['task', 'add', 'patient', '--id', 'one', '--', 'true']);
  const explained = await ok(['task', 'explain', 'patient', 'one'], second);
  expect(explained).toContain('ApplicationPackageError');
  await put('broken', '2', greeter('hello'), '--default');
  await shoal(['job', 'wait', 'patient', '--timeout', '60s'], { data: third });
  const task = await shoalJson<TaskResource>(['task', 'show', 'patient', 'one'], { data: third });
  expect(task).toMatchObject({ state: 'completed', executionInfo: { exitCode: 0, retryCount: 0 } });
  expect((await node())?.errors).toBeUndefined();
});

it('what is no zip file is refused before it is sent', async () => {
  await writeFile(join(scratch, 'fake.zip'), '#!/bin/sh\n');
  const ran = await shoal(['app', 'put', 'fake', '1', 'fake.zip'], { data: first, directory: scratch });
  expect(ran).toMatchObject({ code: 2 });
  expect(ran.stderr).toContain('no zip file');
});
