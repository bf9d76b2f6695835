/**
 * Finds the leader of a group and brings commands and queries to it, from any machine. While nobody leads, the call
 * waits: clients give 30 s, an election takes one or two. A command is sent again under the same request id, so that
 * one which was committed by a leader that died before it could answer has one effect.
 */
import type { Clock } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  LEADER_SEARCH_FIRST_MS,
  LEADER_SEARCH_MAX_MS,
  LEADER_SEARCH_TRIED_MAX,
  REQUEST_WAIT_MS,
} from '../../src/lib/limits.ts';
import type { Prng } from '../../src/lib/prng.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import type { Command, CommandResult, Outcome } from '../../src/model/commands.ts';
import type { CallOptions } from '../../src/model/control.ts';
import { type GroupId, type MachineId, MESH_GROUP, peerOfMachine } from '../../src/model/ids.ts';
import type { Queries, QueryName } from '../../src/model/queries.ts';
import { decode } from '../../src/wire/codec.ts';
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
import type { GroupHost } from './group-host.ts';
import { answerQuery } from './group-service.ts';

/** A group that was just made may take so long to be known everywhere. */
const UNKNOWN_GROUP_MS = 2_000;
/** One attempt at a leader; a hung one is not waited for longer. */
const ATTEMPT_TIMEOUT_MS = 8_000;
/** A voter's answer may come so much later than it was asked to answer. */
const ANSWER_MARGIN_MS = 1_000;

export interface RouterOptions {
  readonly self: MachineId;
  readonly host: GroupHost;
  readonly transport: Transport;
  readonly clock: Clock;
  /** Peers that may know who leads the group: its voters, as far as this machine knows them. */
  readonly peersToAsk: (group: GroupId) => readonly string[];
  /** Whether the mesh group has the group, as far as this machine has followed it. */
  readonly isKnown: (group: GroupId) => boolean;
  /** Spreads the searches of those who wait. */
  readonly random: Prng;
  readonly newRequestId: () => string;
}

export class Router {
  readonly #options: RouterOptions;
  /** Last leader that answered, for groups this machine holds no replica of. */
  readonly #leaders = new Map<GroupId, MachineId>();
  /** Ends the searches under way, by group. */
  readonly #wakers = new Map<GroupId, Set<() => void>>();
  #stopped = false;

  constructor(options: RouterOptions) {
    this.#options = options;
    // The leader that could not be reached may be there.
    options.transport.onPeer((_, up) => {
      if (up) this.#wakeAll();
    });
  }

  /** Whoever waits is told that this machine leaves. */
  stop(): void {
    this.#stopped = true;
    this.#wakeAll();
  }

  /** A leader was elected somewhere: those who wait try again at once. */
  notice(group: GroupId, leader: MachineId): void {
    this.#leaders.set(group, leader);
    for (const wake of [...(this.#wakers.get(group) ?? [])]) wake();
  }

  #wakeAll(): void {
    for (const wakers of [...this.#wakers.values()]) for (const wake of [...wakers]) wake();
  }

  async propose<C extends Command>(
    group: GroupId,
    command: C,
    options: CallOptions & { readonly requestId?: string } = {},
  ): Promise<CommandResult<C['kind']>> {
    const requestId = options.requestId ?? this.#options.newRequestId();
    const outcome = await this.#atLeader(group, options, {
      here: async () => {
        const replica = this.#options.host.replica(group);
        if (replica === undefined) throw new ShoalError('NotLeader');
        const proposed = replica.propose(requestId, command);
        this.#options.host.wake(replica);
        return (await proposed).outcome;
      },
      there: async (peer, timeoutMs) =>
        decode(
          await this.#options.transport.request(
            peer,
            PROPOSE_REQUEST,
            ProposeBody.encode({ group, requestId, command }),
            { timeoutMs, ...signalOf(options) },
          ),
        ) as Outcome<unknown>,
    });
    return outcome as CommandResult<C['kind']>;
  }

  query<Q extends QueryName>(
    group: GroupId,
    name: Q,
    argument: Queries[Q][0],
    options: CallOptions = {},
  ): Promise<Queries[Q][1]> {
    return this.#atLeader(group, options, {
      here: () => answerQuery(this.#options.host, group, name, argument, options.meter),
      there: async (peer, timeoutMs) => {
        const body = QueryBody.encode({ group, name, argument });
        const limits = { timeoutMs, ...signalOf(options) };
        const bytes = await this.#options.transport.request(peer, QUERY_REQUEST, body, limits);
        options.meter?.resume();
        const { answer, spentMs } = QueryAnswer.decode(bytes);
        options.meter?.add(spentMs);
        return answer;
      },
    }) as Promise<Queries[Q][1]>;
  }

  /** A request of one agent to the coordinator of a group, wherever that is now. */
  request(group: GroupId, method: string, body: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const { transport, self } = this.#options;
    const to = (peer: string, timeoutMs: number): Promise<Uint8Array> =>
      transport.request(peer, method, body, { timeoutMs, ...signalOf(options) });
    return this.#atLeader(group, options, {
      here: () => to(peerOfMachine(self), ATTEMPT_TIMEOUT_MS),
      there: to,
    });
  }

  async #atLeader<T>(
    group: GroupId,
    options: CallOptions,
    attempt: { here: () => Promise<T>; there: (peer: string, timeoutMs: number) => Promise<T> },
  ): Promise<T> {
    const { clock, self } = this.#options;
    const startedAtMs = clock.monotonicMs();
    const deadline = startedAtMs + (options.timeoutMs ?? REQUEST_WAIT_MS);
    let last: ShoalError | undefined;
    /** Without success since a search went on for its whole time; then each of them may have come to lead. */
    const tried = new Set<MachineId>();
    let searchMs = LEADER_SEARCH_FIRST_MS;
    for (;;) {
      const leader = this.#leaderOf(group, tried);
      const left = deadline - clock.monotonicMs();
      if (leader !== undefined && left > 0) {
        try {
          return await (leader === self
            ? attempt.here()
            : attempt.there(peerOfMachine(leader), Math.min(left, ATTEMPT_TIMEOUT_MS)));
        } catch (error) {
          last = asShoalError(error);
          if (!isAboutTheLeader(last)) throw last;
          this.#forget(group, leader, last);
          if (tried.size < LEADER_SEARCH_TRIED_MAX) tried.add(leader);
        }
      }
      options.signal?.throwIfAborted();
      if (clock.monotonicMs() - startedAtMs > UNKNOWN_GROUP_MS && (await this.#isNowhere(group)))
        throw gone(group);
      if (this.#stopped) throw new ShoalError('ServerBusy', 'This agent is stopping.');
      const waitMs = deadline - clock.monotonicMs() - LEADER_SEARCH_FIRST_MS;
      if (waitMs <= 0) throw this.#gaveUp(group, last);
      const found = await this.#search(group, [...tried], Math.min(waitMs, this.#spread(searchMs)));
      if (found) continue;
      tried.clear();
      searchMs = Math.min(2 * searchMs, LEADER_SEARCH_MAX_MS);
    }
  }

  /** By the word of the mesh group where this machine's copy does not have it: that may be behind. */
  async #isNowhere(group: GroupId): Promise<boolean> {
    if (this.#options.isKnown(group)) return false;
    try {
      const groups = await this.query(MESH_GROUP, 'group.list', {}, { timeoutMs: ATTEMPT_TIMEOUT_MS });
      return groups.every((record) => record.group !== group);
    } catch {
      return false;
    }
  }

  /** Between half of it and all. */
  #spread(ms: number): number {
    return Math.ceil(ms * (0.5 + 0.5 * this.#options.random.next()));
  }

  #gaveUp(group: GroupId, last: ShoalError | undefined): ShoalError {
    if (last === undefined) return new ShoalError('NoQuorum', `Nobody leads the group ${group}.`, { group });
    if (last.code === 'OperationTimedOut' || last.code === 'ServerBusy') return last;
    return new ShoalError('NoQuorum', `No coordinator of ${group} could be reached in time.`, {
      group,
      last: last.message,
    });
  }

  /** By this machine's own replica, or by others' word; one that was tried only where no other is known. */
  #leaderOf(group: GroupId, tried: ReadonlySet<MachineId>): MachineId | undefined {
    const own = this.#options.host.replica(group)?.leadership.leader ?? undefined;
    const known = [own, this.#leaders.get(group)].filter((leader) => leader !== undefined);
    return known.find((leader) => !tried.has(leader)) ?? known[0];
  }

  /** Forgets a leader that did not answer, and takes over whom it named instead. */
  #forget(group: GroupId, leader: MachineId, error: ShoalError): void {
    const named = error.values.leader;
    if (error.code === 'NotLeader' && named !== undefined && named !== leader)
      this.#leaders.set(group, named);
    else if (this.#leaders.get(group) === leader) this.#leaders.delete(group);
  }

  /**
   * Until somebody leads who was not tried, by this machine's replica or by a voter's word, or the time is over; returns
   * which. All voters are asked at once, and hold their answers back till then: so those who wait cost the voters
   * little, and know of a new leader as soon as the first voter does.
   */
  #search(group: GroupId, tried: readonly MachineId[], waitMs: number): Promise<boolean> {
    const { transport, peersToAsk, clock } = this.#options;
    const peers = peersToAsk(group).filter((peer) => peer !== transport.self && transport.isConnected(peer));
    return new Promise((resolve) => {
      const wakers = this.#wakers.get(group) ?? new Set();
      const end = (found: boolean): void => {
        timer.cancel();
        wakers.delete(wake);
        if (wakers.size === 0 && this.#wakers.get(group) === wakers) this.#wakers.delete(group);
        resolve(found);
      };
      const wake = (): void => end(true);
      const timer = clock.after(waitMs, () => end(false));
      this.#wakers.set(group, wakers.add(wake));
      for (const peer of peers) {
        void this.#ask(group, peer, tried, waitMs).then((leader) => {
          if (leader === undefined || tried.includes(leader) || !wakers.has(wake)) return;
          this.#leaders.set(group, leader);
          end(true);
        });
      }
    });
  }

  async #ask(
    group: GroupId,
    peer: string,
    tried: readonly MachineId[],
    waitMs: number,
  ): Promise<MachineId | undefined> {
    try {
      const body = LeaderBody.encode({ group, waitMs, tried: [...tried] });
      const timeoutMs = waitMs + ANSWER_MARGIN_MS;
      const answer = await this.#options.transport.request(peer, LEADER_REQUEST, body, { timeoutMs });
      return LeaderAnswer.decode(answer).leader ?? undefined;
    } catch {
      // A voter that is down, or holds no replica yet: others were asked too.
      return undefined;
    }
  }
}

function gone(group: GroupId): ShoalError {
  return new ShoalError('GroupNotFound', `There is no group ${group}.`, { group });
}

function signalOf(options: CallOptions): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}

/** Errors that another leader, or the same one a moment later, may not answer with. */
function isAboutTheLeader(error: ShoalError): boolean {
  switch (error.code) {
    case 'NotLeader':
    case 'PeerUnreachable':
    case 'OperationTimedOut':
    case 'GroupNotFound':
    case 'ServerBusy':
    case 'NotAMember':
    // A machine that starts is connected before all of it is there to serve.
    case 'UnknownMethod':
      return true;
    default:
      return false;
  }
}
