import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type FilterKind, filterableProperties } from '../../../src/model/filter.ts';
import { OPERATIONS } from '../../e2e/azure/operations.ts';
import { ApiFixture } from './api-fixture.ts';

const docs = await readFile(new URL('../../../docs/api.md', import.meta.url), 'utf8');

/** Cells of the table rows that follow the header. */
function rowsOf(header: string): string[][] {
  const rows: string[][] = [];
  for (const part of docs.split(`${header}\n`).slice(1)) {
    for (const line of part.split('\n').slice(1)) {
      if (!line.startsWith('| ')) break;
      rows.push(
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim().replaceAll('`', '')),
      );
    }
  }
  return rows;
}

test('docs/api.md lists the routes that are registered, all of them and no other', () => {
  const registered = new ApiFixture().api
    .routes()
    .map(({ method, path, name }) => `${method} ${path} ${name}`);
  const documented = rowsOf('| method | path | operation |').map((cells) => cells.join(' '));
  expect(documented.sort()).toEqual([...registered].sort());
  expect(new Set(registered).size).toBe(registered.length);
});

test('docs/api.md lists what can be filtered', () => {
  const documented = Object.fromEntries(rowsOf('| list | can be filtered by |'));
  const kinds: readonly FilterKind[] = [
    'pool',
    'job',
    'jobSchedule',
    'task',
    'node',
    'jobNode',
    'file',
    'nodeCounts',
    'image',
  ];
  for (const kind of kinds) expect(documented[kind]).toBe(filterableProperties(kind).join(', '));
  expect(Object.keys(documented)).toHaveLength(kinds.length);
});

test("every operation of Azure Batch's reference version has a route, and no other operation is claimed", () => {
  const registered = new ApiFixture().api.routes().filter(({ path }) => !path.startsWith('/shoal/'));
  expect(registered.map(({ name }) => name).sort()).toEqual(OPERATIONS.map(([name]) => name).sort());
});
