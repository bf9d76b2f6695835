import { describe, expect, test } from 'vitest';
import { listJobs } from '../../../src/api/job-list.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { JOB_LIST_GROUP_WAIT_MS } from '../../../src/lib/limits.ts';
import type { CallOptions, Control } from '../../../src/model/control.ts';
import { LocalControl } from '../../contract/api/local-control.ts';

/** A pool's group whose coordinator nobody can reach; `listed` says whether the mesh still knows the group. */
async function withSilentGroup(
  listed: (asked: number) => boolean,
): Promise<{ control: Pick<Control, 'query'>; waits: (number | undefined)[] }> {
  const local = new LocalControl();
  const waits: (number | undefined)[] = [];
  let askedForGroups = 0;
  const query = async (
    ...[group, name, argument, options]: Parameters<Control['query']>
  ): Promise<unknown> => {
    if (group === 'pool:gone') {
      waits.push((options as CallOptions).timeoutMs);
      throw new ShoalError('NoQuorum');
    }
    const answer = await local.query(group, name, argument);
    if (name !== 'group.list') return answer;
    askedForGroups += 1;
    const groups = answer as readonly { readonly group: string }[];
    return listed(askedForGroups) ? [...groups, { ...groups[0], group: 'pool:gone' }] : groups;
  };
  return { control: { query: query as Control['query'] }, waits };
}

describe('the list of all jobs', () => {
  const request = { from: undefined, limit: 10 };

  test('does not wait for the coordinator of a pool that was deleted meanwhile', async () => {
    const { control, waits } = await withSilentGroup((asked) => asked === 1);
    expect(await listJobs(control, request, () => ({ timeoutMs: 28_000 }))).toEqual({
      jobs: [],
      next: undefined,
    });
    expect(waits).toEqual([JOB_LIST_GROUP_WAIT_MS]);
  });

  test('waits as long as the request may for one that is only being elected', async () => {
    const { control, waits } = await withSilentGroup(() => true);
    let left = 5_000;
    const options = (): CallOptions => {
      left -= 500;
      return { timeoutMs: Math.max(1, left) };
    };
    await expect(listJobs(control, request, options)).rejects.toMatchObject({ code: 'NoQuorum' });
    expect(waits.length).toBeGreaterThan(1);
  });
});
