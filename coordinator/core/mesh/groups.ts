/**
 * The directory of groups: who votes where, so that any machine finds the coordinator of any pool. The truth about a
 * group's voters is in its own log; this is what the group last reported.
 */

import type { VotersReport } from '../../../src/model/commands.ts';
import type { GroupId, MachineId } from '../../../src/model/ids.ts';
import { isValidId, MESH_GROUP } from '../../../src/model/ids.ts';
import type { GroupRecord } from '../../../src/model/queries.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { OrderedMap } from './order.ts';
import { groupRow } from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

const FIRST_GENERATION = 0;

export class Groups {
  /**
   * A group that was given up stays as a record without voters: one of the same name that comes later must have a
   * greater generation, or a machine that slept through the change would take its old log for the new group's.
   */
  readonly #byId = new OrderedMap<GroupId, GroupRecord>();
  /** Those with voters; made anew where `from` is another array. */
  #present: { readonly from: readonly GroupRecord[]; readonly records: readonly GroupRecord[] } | undefined;

  load(record: GroupRecord): void {
    this.#byId.set(record.group, record);
  }

  /** The same array until one of them comes, goes or is another. */
  all(): readonly GroupRecord[] {
    const from = this.#byId.inOrder();
    if (this.#present?.from !== from)
      this.#present = { from, records: from.filter(({ voters }) => voters.length > 0) };
    return this.#present.records;
  }

  get(group: GroupId): GroupRecord | undefined {
    const record = this.#byId.get(group);
    return record === undefined || record.voters.length === 0 ? undefined : record;
  }

  /** Groups in which a machine votes, by what they last reported: one that is about to vote does not yet. */
  votesOf(machine: MachineId): GroupId[] {
    return this.all()
      .filter((record) => record.voters.includes(machine))
      .map((record) => record.group);
  }

  /** Undefined where a new group could be made of these voters. */
  checkNewVoters(
    voters: readonly MachineId[],
    isMember: (machine: MachineId) => boolean,
  ): Refusal | undefined {
    const distinct = new Set(voters).size === voters.length;
    if (![1, 3, 5].includes(voters.length) || !distinct) {
      return refuseProperty('voters', voters.join(', '), 'a group has 1, 3 or 5 different voters.');
    }
    const stranger = voters.find((voter) => !isMember(voter));
    if (stranger !== undefined)
      return refuse('MachineNotFound', `The voter ${stranger} is no machine of the mesh.`);
    return undefined;
  }

  /** Makes the group's record where there is none. */
  found(turn: Turn, group: GroupId, voters: readonly MachineId[]): void {
    const known = this.#byId.get(group);
    if (known !== undefined && known.voters.length > 0) return;
    const generation = known === undefined ? FIRST_GENERATION : known.generation + 1;
    this.#set(turn, { group, founders: voters, voters, generation });
    turn.event('group.founded', `The group ${group} begins with ${voters.length} voters.`, { group });
  }

  /**
   * The group says who votes now, and who will. Any count is taken: the record follows what is, and a group passes
   * through 2 or 4 voters on its way. A report of an older generation is that of a group that was recovered or given up
   * since. What is announced must be able to decide: a machine may have been removed since the leader chose it.
   */
  report(
    turn: Turn,
    reported: Omit<GroupRecord, 'founders'>,
    isMember: (machine: MachineId) => boolean,
  ): Refusal | undefined {
    const { group, voters, generation } = reported;
    if (!isGroupId(group)) return refuseProperty('group', group, 'it is not `mesh` or `pool:<id>`.');
    if (voters.length === 0) return refuseProperty('voters', '', 'a group has a voter.');
    const known = this.#byId.get(group);
    const refusal = checkOrder(reported, known) ?? checkNext(reported, isMember);
    if (refusal !== undefined) return refusal;
    if (known !== undefined && generation === known.generation && saysNothingNew(reported, known)) {
      return undefined;
    }
    const founders = known?.generation === generation ? known.founders : voters;
    const { next, report } = reported;
    this.#set(turn, {
      // In this order since the first version: its logs must go on to end in the same rows.
      group,
      founders,
      voters,
      generation,
      ...(next === undefined ? {} : { next }),
      ...(report === undefined ? {} : { report }),
    });
    return undefined;
  }

  giveUp(turn: Turn, group: GroupId): void {
    const known = this.get(group);
    if (known === undefined) return;
    const { founders, generation } = known;
    this.#set(turn, { group, founders, voters: [], generation });
  }

  #set(turn: Turn, record: GroupRecord): void {
    this.#byId.set(record.group, record);
    turn.put(groupRow(record.group), record);
    turn.effect({ kind: 'groupsChanged', group: record.group });
  }
}

function isGroupId(group: string): boolean {
  return (
    group === MESH_GROUP ||
    (group.startsWith('pool:') && isValidId(group.slice(5)) && group === group.toLowerCase())
  );
}

function checkOrder(
  { group, generation, report }: Omit<GroupRecord, 'founders'>,
  known: GroupRecord | undefined,
): Refusal | undefined {
  if (known === undefined || generation > known.generation) return undefined;
  const givenUp = known.voters.length === 0;
  if (generation < known.generation || givenUp) {
    return refuse(
      'OperationInvalidForCurrentState',
      `The group ${group} is at generation ${known.generation}; a report of generation ${generation} comes too late.`,
    );
  }
  if (report === undefined || known.report === undefined || isLater(report, known.report)) return undefined;
  return refuse(
    'OperationInvalidForCurrentState',
    `The group ${group} has reported since: this comes too late.`,
  );
}

function isLater(a: VotersReport, b: VotersReport): boolean {
  return a.term > b.term || (a.term === b.term && a.number > b.number);
}

function checkNext(
  { group, voters, next }: Omit<GroupRecord, 'founders'>,
  isMember: (machine: MachineId) => boolean,
): Refusal | undefined {
  const stranger = next?.find((machine) => !voters.includes(machine) && !isMember(machine));
  if (stranger !== undefined) {
    return refuse('MachineNotFound', `The voter ${stranger} is no machine of the mesh.`);
  }
  if (next === undefined || keepsMajority(next, isMember)) return undefined;
  return refuse(
    'OperationInvalidForCurrentState',
    `Too few machines of ${next.join(', ')} are of the mesh for the group ${group} to decide by them.`,
  );
}

/** Whether the voters that are left make a majority of all of them. */
export function keepsMajority(
  voters: readonly MachineId[],
  isLeft: (machine: MachineId) => boolean,
): boolean {
  return voters.filter(isLeft).length > voters.length / 2;
}

/** A numbered report counts even where it repeats the last one: it voids those before it. */
function saysNothingNew(reported: Omit<GroupRecord, 'founders'>, known: GroupRecord): boolean {
  return (
    reported.report === undefined && known.next === undefined && sameMachines(reported.voters, known.voters)
  );
}

function sameMachines(a: readonly MachineId[], b: readonly MachineId[]): boolean {
  return a.length === b.length && a.every((machine) => b.includes(machine));
}
