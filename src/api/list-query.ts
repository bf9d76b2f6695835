/** What the lists of Azure Batch have in common. */
import { compileFilter, type FilterKind, type FilterRows } from '../model/filter.ts';
import type { Call } from './route.ts';

/** Query parameters of every list. */
export const LIST_QUERY = ['$filter', '$select', '$expand', 'maxresults', '$skiptoken'];

/** The request's `$filter` as text, checked here so that a wrong one never reaches a coordinator. */
export function filterOf(call: Call, kind: FilterKind): { readonly filter?: string } {
  const filter = call.query.get('$filter')?.trim() ?? '';
  if (filter === '') return {};
  compileFilter(kind, filter);
  return { filter };
}

/** The request's `$filter` as a test of one row. */
export function matcherOf<K extends FilterKind>(call: Call, kind: K): (row: FilterRows[K]) => boolean {
  const filter = call.query.get('$filter')?.trim() ?? '';
  return filter === '' ? () => true : compileFilter(kind, filter);
}
