/** `$select` and `$expand`. */

import { isRecord } from './case.ts';
import type { Query } from './query.ts';
import { invalidQuery } from './query.ts';

const NAME = /^[A-Za-z][A-Za-z0-9.]{0,63}(?:\/[A-Za-z][A-Za-z0-9]{0,63}){0,3}$/;
const SELECTED_MAX = 100;

/** Wanted members; `true` stands for the whole value. */
interface Selection {
  readonly [name: string]: Selection | true;
}

/** Keeps what `$select` names (`id,executionInfo/exitCode`); a name that the entity does not have selects nothing. */
export function selector(query: Query): (entity: Record<string, unknown>) => Record<string, unknown> {
  expandsStats(query);
  const text = query.get('$select');
  if (text === undefined || text.trim() === '') return (entity) => entity;
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined || names.length > SELECTED_MAX) {
    throw invalidQuery(
      '$select',
      text,
      `up to ${SELECTED_MAX} property names separated by commas are expected`,
    );
  }
  const selection = selectionOf(names);
  return (entity) => project(entity, selection);
}

function selectionOf(names: readonly string[]): Selection {
  const root: Record<string, Selection | true> = Object.create(null);
  for (const name of names) {
    let level = root;
    const parts = name.split('/');
    const last = parts.pop() ?? '';
    for (const part of parts) {
      if (level[part] === true) break;
      level[part] ??= Object.create(null);
      level = level[part] as Record<string, Selection | true>;
    }
    level[last] = true;
  }
  return root;
}

function project(entity: Record<string, unknown>, selection: Selection): Record<string, unknown> {
  const projected: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(entity)) {
    const wanted = name.startsWith('odata.') ? true : selection[name];
    if (wanted === true) projected[name] = value;
    else if (wanted !== undefined && isRecord(value)) projected[name] = project(value, wanted);
  }
  return projected;
}

/** Whether the request wants `stats`, the only expansion there is. */
export function expandsStats(query: Query): boolean {
  const text = query.get('$expand')?.trim() ?? '';
  if (text !== '' && text !== 'stats') throw invalidQuery('$expand', text, 'only stats can be expanded');
  return text === 'stats';
}
