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
import { type Directory, requireRight } from './authority.ts';
import type { GroupHost } from './group-host.ts';
import { type Replica, replicaRows } from './replica.ts';

export interface GroupServiceOptions {
  readonly host: GroupHost;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Rejects unless the peer is a full member (not a joiner under its token). */
  readonly requireMember: (peer: string) => void;
  /** This machine's copy of the mesh group's state. */
  readonly directory: () => Directory;
  /** CPU time of the process so far, ms. */
  readonly cpuUsedMs: () => number;
}

export function serveGroups(options: GroupServiceOptions): void {
  const { host, transport, requireMember, clock } = options;
  const cpu = new CpuUse(options.cpuUsedMs);

  transport.onRequest(PROPOSE_REQUEST, async (from, payload) => {
    requireMember(from);
    const { group, requestId, command } = ProposeBody.decode(payload);
    const replica = leaderOf(host, group as GroupId);
    requireRight(from, command, options.directory(), knowsAll(replica));
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

/** A leader has applied all that was decided before its term once it has applied an entry of its own. */
function knowsAll({ meta, leadership }: Replica): boolean {
  return meta.term === leadership.term;
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
