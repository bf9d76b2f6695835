import { expect, test } from 'vitest';
import { listJobs } from '../../../src/api/job-list.ts';
import { type ErrorCode, ShoalError } from '../../../src/lib/errors.ts';
import type { Control } from '../../../src/model/control.ts';
import { LocalControl } from '../../contract/api/local-control.ts';

/** The mesh lists the group of one more pool, which answers with an error. */
function withGroupThat(fails: ErrorCode): Pick<Control, 'query'> {
  const local = new LocalControl();
  const query = async (...[group, name, argument]: Parameters<Control['query']>): Promise<unknown> => {
    if (group === 'pool:other') throw new ShoalError(fails);
    const answer = await local.query(group, name, argument);
    if (name !== 'group.list') return answer;
    const groups = answer as readonly { readonly group: string }[];
    return [...groups, { ...groups[0], group: 'pool:other' }];
  };
  return { query: query as Control['query'] };
}

const request = { from: undefined, limit: 10 };

test('the list of all jobs leaves out a pool that is deleted meanwhile', async () => {
  const page = await listJobs(withGroupThat('GroupNotFound'), request, () => ({}));
  expect(page).toEqual({ jobs: [], next: undefined });
});

test('the list of all jobs is not given without the jobs of a pool that cannot answer', async () => {
  await expect(listJobs(withGroupThat('NoQuorum'), request, () => ({}))).rejects.toMatchObject({
    code: 'NoQuorum',
  });
});
