/** docs/azure-batch.md against the code: operations, and what becomes of each property. `UPDATE_DOCS=1` writes its last table. */
import { readFileSync, writeFileSync } from 'node:fs';
import { BatchServiceMappers } from '@azure/batch';
import type { TSchema } from 'typebox';
import { beforeEach, describe, expect, test } from 'vitest';
import { JobSpec } from '../../../src/model/job.ts';
import { PoolSpec } from '../../../src/model/pool.ts';
import { JobScheduleSpec } from '../../../src/model/schedule.ts';
import { Echoed } from '../../../src/model/schema.ts';
import { TaskSpec } from '../../../src/model/task.ts';
import { OPERATIONS } from '../../e2e/azure/operations.ts';
import { ApiFixture } from './api-fixture.ts';

const path = new URL('../../../docs/azure-batch.md', import.meta.url);
const TABLE = '| body | taken | ignored | refused |\n|---|---|---|---|\n';

interface Body {
  readonly name: string;
  readonly path: string;
  readonly schema: TSchema & { readonly properties: Readonly<Record<string, unknown>> };
  /** Azure's own description of the body, from its client. */
  readonly known: readonly string[];
  readonly minimal: object;
}

const BODIES: readonly Body[] = [
  {
    name: 'pool',
    path: '/pools',
    schema: PoolSpec,
    known: namesOf(BatchServiceMappers.PoolAddParameter),
    minimal: { id: 'new', vmSize: 'machine' },
  },
  {
    name: 'job',
    path: '/jobs',
    schema: JobSpec,
    known: namesOf(BatchServiceMappers.JobAddParameter),
    minimal: { id: 'new', poolInfo: { poolId: 'p' } },
  },
  {
    name: 'job schedule',
    path: '/jobschedules',
    schema: JobScheduleSpec,
    known: namesOf(BatchServiceMappers.JobScheduleAddParameter),
    minimal: { id: 'new', schedule: {}, jobSpecification: { poolInfo: { poolId: 'p' } } },
  },
  {
    name: 'task',
    path: '/jobs/j/tasks',
    schema: TaskSpec,
    known: namesOf(BatchServiceMappers.TaskAddParameter),
    minimal: { id: 'new', commandLine: '/bin/true' },
  },
];

function namesOf(mapper: { readonly type: { readonly modelProperties?: object } }): readonly string[] {
  const properties: Readonly<Record<string, { readonly serializedName?: string }>> = {
    ...mapper.type.modelProperties,
  };
  return Object.entries(properties).map(([name, { serializedName }]) => serializedName ?? name);
}

let api: ApiFixture;
beforeEach(async () => {
  api = new ApiFixture();
  await api.withNode();
  await api.withJob();
});

function fateOf(body: Body, property: string): 'taken' | 'ignored' | 'refused' {
  if (!Object.hasOwn(body.schema.properties, property)) return 'refused';
  return body.schema.properties[property] === Echoed ? 'ignored' : 'taken';
}

describe("of Azure's own properties", () => {
  test.each(BODIES)('of a $name, each that is refused is refused by name', async (body) => {
    for (const property of body.known.filter((name) => fateOf(body, name) === 'refused')) {
      const answer = await api.ask('POST', body.path, { json: { ...body.minimal, [property]: { a: 1 } } });
      expect([answer.status, answer.body?.code], property).toEqual([400, 'UnsupportedProperty']);
    }
    expect((await api.ask('POST', body.path, { json: body.minimal })).status).toBe(201);
  });

  test('docs/azure-batch.md says which are taken, ignored and refused', () => {
    const rows = BODIES.map((body) => {
      const of = (fate: string): string =>
        body.known
          .filter((property) => fateOf(body, property) === fate)
          .map((property) => `\`${property}\``)
          .join(', ');
      return `| ${body.name} | ${of('taken')} | ${of('ignored')} | ${of('refused')} |`;
    });
    const text = readFileSync(path, 'utf8');
    const [before = ''] = text.split(TABLE);
    const expected = `${before}${TABLE}${rows.join('\n')}\n`;
    if (process.env.UPDATE_DOCS === '1') writeFileSync(path, expected);
    expect(readFileSync(path, 'utf8')).toBe(expected);
  });
});

test('docs/azure-batch.md names every operation once, and numbers its features from 1 to 136', () => {
  const text = readFileSync(path, 'utf8');
  for (const [name] of OPERATIONS) expect(text.match(new RegExp(`\\b${name}\\b`, 'g')), name).not.toBeNull();
  const numbers = [...text.matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number));
  expect(numbers).toEqual(Array.from({ length: 136 }, (_, index) => index + 1));
});
