/** Answers other machines' commands and queries for the groups that this machine leads. */
import type { Clock } from '../../src/lib/clock.ts';
import { CpuMeter, CpuUse } from '../../src/lib/cpu-meter.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { LEADER_SEARCH_MAX_MS } from '../../src/lib/limits.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import type { Command } from '../../src/model/commands.ts';
import type { GroupId } from '../../src/model/ids.ts';
import { encode } from '../../src/wire/codec.ts';
import {
  LEADER_REQUEST,
  LeaderAnswer,
  LeaderBody,
  PROPOSE_REQUEST,
  ProposeBody,
  QUERY_REQUEST,
  QueryAnswer,
  QueryBody,
} from '../../src/wire/protocol.ts';
import type { RowReader } from '../core/interface.ts';
import type { GroupHost } from './group-host.ts';
import { type Replica, replicaRows } from './replica.ts';

/**
 * Who may bring a command to a leader on another machine. `nobody`: only the leader's own loops propose it.
 * `coordinator`: one coordinator brings it to another; any member may host one. The rest is what clients ask for, and
 * any member answers clients. Every kind stands here, so that a new one has its place thought of.
 */
const MAY_BRING: Readonly<Record<Command['kind'], 'nobody' | 'coordinator' | 'client'>> = {
  'mesh.init': 'nobody',
  'token.create': 'client',
  'token.revoke': 'client',
  'machine.join': 'coordinator',
  'machine.update': 'coordinator',
  'machine.drain': 'client',
  'machine.remove': 'client',
  'group.voters': 'coordinator',
  'pool.add': 'client',
  'pool.patch': 'client',
  'pool.resize': 'client',
  'pool.stopResize': 'client',
  'pool.removeNodes': 'client',
  'pool.enableAutoScale': 'client',
  'pool.disableAutoScale': 'client',
  'pool.autoScaled': 'coordinator',
  'pool.delete': 'client',
  'pool.erase': 'coordinator',
  allot: 'nobody',
  'node.released': 'coordinator',
  'job.reserve': 'client',
  'job.release': 'client',
  'schedule.add': 'client',
  'schedule.patch': 'client',
  'schedule.update': 'client',
  'schedule.disable': 'client',
  'schedule.enable': 'client',
  'schedule.terminate': 'client',
  'schedule.delete': 'client',
  'schedule.launch': 'nobody',
  'schedule.ended': 'nobody',
  'container.create': 'client',
  'container.delete': 'client',
  'blob.put': 'client',
  'blob.delete': 'client',
  'application.put': 'client',
  'application.update': 'client',
  'application.delete': 'client',
  'blob.holders': 'coordinator',
  'mesh.sweep': 'nobody',
  mirror: 'nobody',
  'job.add': 'client',
  'job.patch': 'client',
  'job.update': 'client',
  'job.disable': 'client',
  'job.enable': 'client',
  'job.terminate': 'client',
  'job.delete': 'client',
  'task.add': 'client',
  'task.update': 'client',
  'task.terminate': 'client',
  'task.delete': 'client',
  'task.reactivate': 'client',
  assign: 'nobody',
  preempt: 'nobody',
  report: 'nobody',
  'node.lost': 'nobody',
  'node.heard': 'nobody',
  'node.restart': 'client',
  'node.scheduling': 'client',
  sweep: 'nobody',
};

export interface GroupServiceOptions {
  readonly host: GroupHost;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Rejects unless the peer is a full member (not a joiner under its token). */
  readonly requireMember: (peer: string) => void;
  /** Whether the peer votes in the pool's group, now or next. */
  readonly mayLead: (peer: string, pool: string) => boolean;
  /** CPU time of the process so far, ms. */
  readonly cpuUsedMs: () => number;
}

export function serveGroups(options: GroupServiceOptions): void {
  const { host, transport, requireMember, clock } = options;
  const cpu = new CpuUse(options.cpuUsedMs);

  transport.onRequest(PROPOSE_REQUEST, async (from, payload) => {
    requireMember(from);
    const { group, requestId, command } = ProposeBody.decode(payload);
    requireRight(command.kind);
    requireOwnMachine(from, command as unknown as Command);
    requireOwnPool(from, command as unknown as Command, options.mayLead);
    const replica = leaderOf(host, group as GroupId);
    const proposed = replica.propose(requestId, command as unknown as Command);
    host.wake(replica);
    return encode((await proposed).outcome);
  });

  transport.onRequest(QUERY_REQUEST, async (from, payload) => {
    requireMember(from);
    const { group, name, argument } = QueryBody.decode(payload);
    const meter = new CpuMeter(cpu);
    const answer = await answerQuery(host, group as GroupId, name, argument, meter);
    meter.pause();
    return QueryAnswer.encode({ answer, spentMs: meter.spentMs });
  });

  transport.onRequest(LEADER_REQUEST, async (from, payload) => {
    requireMember(from);
    const { group, waitMs = 0, tried = [] } = LeaderBody.decode(payload);
    const replica = host.replica(group as GroupId);
    if (replica === undefined)
      throw new ShoalError('GroupNotFound', `This machine holds no replica of ${group}.`);
    await leaderBeside(replica, tried, Math.min(waitMs, LEADER_SEARCH_MAX_MS), clock);
    const { leader, term } = replica.leadership;
    return LeaderAnswer.encode({ leader, term });
  });
}

/** Resolves when the replica knows a leader that is none of these, or the time is over. */
function leaderBeside(
  replica: Replica,
  tried: readonly string[],
  waitMs: number,
  clock: Clock,
): Promise<void> {
  const found = (): boolean => {
    const { leader } = replica.leadership;
    return leader !== null && !tried.includes(leader);
  };
  if (waitMs === 0 || found()) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      stop();
      resolve();
    };
    const timer = clock.after(waitMs, done);
    const stop = replica.onLeadership(() => {
      if (found()) done();
    });
  });
}

/** A linearizable read: a quorum confirms the leader, then the state machine answers. */
export async function answerQuery(
  host: GroupHost,
  group: GroupId,
  name: string,
  argument: unknown,
  meter?: CpuMeter,
): Promise<unknown> {
  const replica = leaderOf(host, group);
  const confirmed = replica.confirmRead();
  host.wake(replica);
  await confirmed;
  meter?.resume();
  return replica.machine.query(name, argument, metered(replicaRows(replica, host.store), meter));
}

/** Reading rows is waiting. */
function metered(rows: RowReader, meter: CpuMeter | undefined): RowReader {
  if (meter === undefined) return rows;
  const waited = async <T>(read: Promise<T>): Promise<T> => {
    meter.pause();
    const value = await read;
    meter.resume();
    return value;
  };
  return {
    get: (key) => waited(rows.get(key)),
    getMany: (keys) => waited(rows.getMany(keys)),
    async *scan(options) {
      meter.pause();
      for await (const row of rows.scan(options)) {
        meter.resume();
        yield row;
        meter.pause();
      }
      meter.resume();
    },
  };
}

/** A machine speaks for itself alone. */
function requireOwnMachine(from: string, command: Command): void {
  if (command.kind === 'machine.update' && command.machine.peer !== from)
    throw new ShoalError('NotAMember', 'A machine may only change its own record.');
}

/** A kind that nobody knows is refused like one that nobody may bring. */
function requireRight(kind: string): void {
  const right = Object.hasOwn(MAY_BRING, kind) ? MAY_BRING[kind as Command['kind']] : 'nobody';
  if (right === 'nobody') throw new ShoalError('Forbidden', `A peer may not propose ${kind.slice(0, 64)}.`);
}

/** How many nodes a pool should have is said by its own coordinator, which votes in its group. */
function requireOwnPool(from: string, command: Command, mayLead: GroupServiceOptions['mayLead']): void {
  if (command.kind === 'pool.autoScaled' && !mayLead(from, command.pool))
    throw new ShoalError('Forbidden', 'Only the coordinator of a pool may say how it scales.');
}

function leaderOf(host: GroupHost, group: GroupId): Replica {
  const replica = host.replica(group);
  if (replica === undefined)
    throw new ShoalError('GroupNotFound', `This machine holds no replica of ${group}.`);
  if (!replica.leadership.leading) {
    const leader = replica.leadership.leader;
    throw new ShoalError(
      'NotLeader',
      `This machine does not lead ${group}.`,
      leader === null ? {} : { leader },
    );
  }
  return replica;
}
