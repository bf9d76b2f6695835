/** Commands on job schedules. */

import type { Condition, EntityStamp, MeshCommand, Outcome } from '../../../src/model/commands.ts';
import { idKey, isValidId } from '../../../src/model/ids.ts';
import type { JobScheduleEntity } from '../../../src/model/queries.ts';
import { type Schedule, scheduledJobId, scheduleFault } from '../../../src/model/schedule.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { checkCondition } from './condition.ts';
import type { MeshState } from './state.ts';
import { refuseProperty, type Turn } from './turn.ts';

type CommandOf<K extends MeshCommand['kind']> = Extract<MeshCommand, { kind: K }>;

export function addSchedule(
  state: MeshState,
  turn: Turn,
  { spec }: CommandOf<'schedule.add'>,
): Outcome<EntityStamp> {
  if (!isValidId(spec.id)) return refuseProperty('id', spec.id, 'it is no id.');
  if (state.schedules.get(spec.id) !== undefined)
    return refuse('JobScheduleExists', `There is a job schedule ${spec.id} already.`);
  if (state.directory.poolOf(spec.id) !== undefined)
    return refuse('JobWithSameIdExists', `There is a job ${spec.id}; jobs and schedules share their ids.`);
  const refusal = checkSchedule(spec.schedule);
  if (refusal !== undefined) return refusal;
  const added = state.schedules.add(turn, spec);
  return 'ok' in added ? added : { ok: true, value: added };
}

export function changeSchedule(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'schedule.patch' | 'schedule.update'>,
): Outcome<EntityStamp> {
  const found = findSchedule(state, command, ['active', 'disabled']);
  if (!found.ok) return found;
  const change = command.kind === 'schedule.patch' ? command.patch : command.update;
  const refusal = change.schedule === undefined ? undefined : checkSchedule(change.schedule);
  if (refusal !== undefined) return refusal;
  const replace = command.kind === 'schedule.update';
  return { ok: true, value: state.schedules.change(turn, found.value, change, replace) };
}

function checkSchedule(schedule: Schedule): Refusal | undefined {
  const fault = scheduleFault(schedule);
  return fault && refuseProperty(`schedule/${fault.property}`, fault.value, fault.reason);
}

export function disableSchedule(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'schedule.disable'>,
): Outcome<EntityStamp> {
  const found = findSchedule(state, command, ['active', 'disabled']);
  return found.ok ? { ok: true, value: state.schedules.setState(turn, found.value, 'disabled') } : found;
}

export function enableSchedule(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'schedule.enable'>,
): Outcome<EntityStamp> {
  const found = findSchedule(state, command, ['active', 'disabled']);
  if (!found.ok) return found;
  // One that runs already keeps its next moment.
  if (found.value.state === 'active') return { ok: true, value: turn.stamp() };
  return { ok: true, value: state.schedules.setState(turn, found.value, 'active') };
}

export function terminateSchedule(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'schedule.terminate'>,
): Outcome<EntityStamp> {
  const found = findSchedule(state, command, ['active', 'disabled', 'terminating']);
  return found.ok ? { ok: true, value: state.schedules.setState(turn, found.value, 'terminating') } : found;
}

export function deleteSchedule(
  state: MeshState,
  turn: Turn,
  command: CommandOf<'schedule.delete'>,
): Outcome<EntityStamp> {
  const found = findSchedule(state, command, ['active', 'disabled', 'terminating', 'completed']);
  return found.ok ? { ok: true, value: state.schedules.setState(turn, found.value, 'deleting') } : found;
}

/** From the mesh coordinator: the moment that is due becomes the job of this number. */
export function launchJob(
  state: MeshState,
  turn: Turn,
  { schedule, number }: CommandOf<'schedule.launch'>,
): Outcome<EntityStamp> {
  const record = state.schedules.get(schedule);
  if (record === undefined) return refuse('JobScheduleNotFound');
  if (!state.schedules.launch(turn, record, number))
    return refuse(
      'OperationInvalidForCurrentState',
      `The moment of ${scheduledJobId(schedule, number)} is taken.`,
    );
  return { ok: true, value: turn.stamp() };
}

/** From the mesh coordinator: what the schedule waited for is done; it is completed, or gone. */
export function endSchedule(
  state: MeshState,
  turn: Turn,
  { schedule, jobs }: CommandOf<'schedule.ended'>,
): Outcome<EntityStamp> {
  const record = state.schedules.get(schedule);
  // It made another job, or was enabled, since the coordinator looked.
  if (record === undefined || record.jobs !== jobs) return { ok: true, value: turn.stamp() };
  if (record.state === 'deleting') state.schedules.erase(turn, record);
  else if (record.state === 'terminating' || isOver(record))
    state.schedules.setState(turn, record, 'completed');
  return { ok: true, value: turn.stamp() };
}

/** An active schedule without another moment. */
function isOver({ state, nextRunTimeMs }: JobScheduleEntity): boolean {
  return state === 'active' && nextRunTimeMs === undefined;
}

/** Undefined where a job may have this id. */
export function checkJobId(state: MeshState, job: string): Refusal | undefined {
  const schedule = state.schedules.get(idKey(job));
  if (schedule === undefined) return undefined;
  return refuse(
    'JobScheduleWithSameIdExists',
    `There is a job schedule ${schedule.spec.id}; jobs and schedules share their ids.`,
  );
}

function findSchedule(
  state: MeshState,
  { schedule: id, condition }: { readonly schedule: string; readonly condition?: Condition },
  states: readonly JobScheduleEntity['state'][],
): { readonly ok: true; readonly value: JobScheduleEntity } | Refusal {
  const record = state.schedules.get(id);
  if (record === undefined) return refuse('JobScheduleNotFound', `There is no job schedule ${id}.`);
  const unmet = checkCondition(record, condition);
  if (unmet !== undefined) return unmet;
  if (states.includes(record.state)) return { ok: true, value: record };
  const name = record.spec.id;
  switch (record.state) {
    case 'completed':
      return refuse('JobScheduleCompleted', `The job schedule ${name} is completed.`);
    case 'terminating':
      return refuse('JobScheduleBeingTerminated', `The job schedule ${name} is being terminated.`);
    case 'deleting':
      return refuse('JobScheduleBeingDeleted', `The job schedule ${name} is being deleted.`);
    default:
      return refuse('OperationInvalidForCurrentState', `The job schedule ${name} is ${record.state}.`);
  }
}
