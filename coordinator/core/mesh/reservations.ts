/** Commands on the directory: which pool's group has a job, and who votes in a group. */

import type { MeshCommand, Outcome } from '../../../src/model/commands.ts';
import type { MachineId } from '../../../src/model/ids.ts';
import { idKey, isValidId, isValidJobReference, poolGroup } from '../../../src/model/ids.ts';
import { refuse } from '../refusal.ts';
import { checkGroup } from './estate.ts';
import { checkJobId } from './scheduling.ts';
import type { MeshState } from './state.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

type CommandOf<K extends MeshCommand['kind']> = Extract<MeshCommand, { kind: K }>;

/** A job may name a pool that is not there (yet): it waits in the group of that pool, which this makes. */
export function reserveJob(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'job.reserve'>,
): Outcome<unknown> {
  const { job, pool, voters, replaces } = command;
  if (!isValidJobReference(job)) return refuseProperty('id', job, 'it is no job id.');
  if (!isValidId(pool)) return refuseProperty('poolId', pool, 'it is no pool id.');
  const holder = state.directory.poolOf(job);
  if (holder !== undefined) {
    if (idKey(holder) === idKey(pool)) return { ok: true, value: turn.stamp() };
    // Made by a client that died before it added the job; somebody looked into that pool and found no such job.
    if (replaces === undefined || idKey(replaces) !== idKey(holder)) {
      return refuse('JobExists', `The job ${job} already exists, in the pool ${holder}.`, { Pool: holder });
    }
  }
  const taken = checkJobId(state, job);
  if (taken !== undefined) return taken;
  const known = state.pools.get(pool);
  if (known?.state === 'deleting')
    return refuse('PoolBeingDeleted', `The pool ${known.spec.id} is being deleted.`);
  const noGroup = checkGroup(state, pool, voters);
  if (noGroup !== undefined) return noGroup;
  state.groups.found(turn, poolGroup(pool), voters);
  state.directory.reserve(turn, job, known?.spec.id ?? pool);
  return { ok: true, value: turn.stamp() };
}

/** Releasing what is not reserved, or is by now reserved for another pool, is no error: the pool's coordinator asks until it hears an answer. */
export function releaseJob(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'job.release'>,
): Outcome<unknown> {
  const holder = state.directory.poolOf(command.job);
  if (holder !== undefined && idKey(holder) === idKey(command.pool))
    state.directory.release(turn, command.job);
  // The last job of a pool that is gone: nothing needs the group any more.
  if (state.pools.get(command.pool) === undefined && state.directory.jobsOf(command.pool) === 0)
    state.groups.giveUp(turn, poolGroup(command.pool));
  return { ok: true, value: turn.stamp() };
}

export function reportVoters(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'group.voters'>,
): Outcome<unknown> {
  const { group, voters, next, report, generation } = command;
  const reported = {
    group,
    voters,
    ...(next === undefined ? {} : { next }),
    ...(report === undefined ? {} : { report }),
    generation,
  };
  const isMember = (machine: MachineId): boolean => state.members.get(machine) !== undefined;
  return state.groups.report(turn, reported, isMember) ?? { ok: true, value: turn.stamp() };
}
