/** A job manager that fills its own job through the API, with the token it was given and nothing else. */
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { TaskResource } from '../../src/client/shapes.ts';

let mesh: LocalMesh;
beforeAll(async () => {
  mesh = await LocalMesh.start(1, { apiPort: true });
});
afterAll(() => mesh?.stop());

/** Prints the status of adding a task to the job that its first argument names. */
const MANAGER = `
const { AZ_BATCH_ACCOUNT_URL: url, AZ_BATCH_AUTHENTICATION_TOKEN: token } = process.env;
const add = (job) => fetch(url + '/jobs/' + job + '/tasks?api-version=2022-10-01.16.0', {
  method: 'POST',
  headers: { authorization: 'Bearer ' + token, 'content-type': 'application/json' },
  body: JSON.stringify({ id: 'made-by-manager', commandLine: '/bin/true' }),
}).then((answer) => answer.status);
Promise.all([add(process.env.AZ_BATCH_JOB_ID), add('other')]).then((statuses) => console.log(statuses.join(' ')));
`;

it('reaches its own job and no other', async () => {
  const { client } = mesh.alive();
  await client.jobs.add({ id: 'other', poolInfo: { poolId: 'default' } });
  await client.jobs.add({
    id: 'managed',
    poolInfo: { poolId: 'default' },
    jobManagerTask: {
      id: 'manager',
      commandLine: `${process.execPath} -e '${MANAGER.replaceAll('\n', ' ').replaceAll("'", `'"'"'`)}'`,
      killJobOnCompletion: false,
      authenticationTokenSettings: { access: ['job'] },
    },
  });
  let made: TaskResource | undefined;
  await until('the manager has ended', 20_000, async () => {
    return (await client.tasks.get('managed', 'manager')).state === 'completed';
  });
  const { body } = await client.tasks.openFile('managed', 'manager', 'stdout.txt');
  expect((await text(body)).trim()).toBe('201 403');
  await until('the task that it made has run', 20_000, async () => {
    made = await client.tasks.get('managed', 'made-by-manager');
    return made.state === 'completed';
  });
  expect(made?.executionInfo?.result).toBe('success');
});
