/**
 * The roll of members as others have it. A machine admits whom its own copy of the mesh group names, and before it has
 * one, whom its join answer named. Whoever leads the mesh group may have joined since; then the two refuse each other,
 * and the group's word never arrives. So while a machine hears no leader of the mesh group it asks the members that it
 * has links to, one after another, and goes by their list where that is newer than its own copy. Nobody is believed who
 * was not believed before: a member feeds this machine the log as well.
 *
 * It also asks where the group's voters are that it has no link to. Two that moved while they were apart dial addresses
 * that nobody has any more, and the group cannot record new ones without them; whoever both of them reached tells the one
 * of the other. Who is no voter needs no such help: the group records its address, and all others hear it from there.
 */
import { type Clock, every, type Timer } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { ROLL_ASK_PERIOD_MS, ROLL_ASK_TIMEOUT_MS, ROLL_MISSING_MAX } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { Transport } from '../../src/mesh/interface.ts';
import { MESH_GROUP, type PeerId, peerOfMachine } from '../../src/model/ids.ts';
import { ROLL_REQUEST, RollAnswer, RollBody } from '../../src/wire/protocol.ts';
import type { MeshMachine } from '../core/mesh/machine.ts';
import type { GroupHost } from './group-host.ts';

export interface RollOptions {
  readonly host: GroupHost;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  /** Rejects unless the peer is a full member (not a joiner under its token). */
  readonly requireMember: (peer: string) => void;
  /** Where a peer is, as far as this machine knows. */
  readonly addressesOf: (peer: string) => readonly string[];
  /** Addresses of members have come, perhaps with a list that is newer than this machine's copy of the mesh group. */
  readonly onTold: (members: readonly MemberAddresses[]) => void;
}

export interface MemberAddresses {
  readonly peer: PeerId;
  readonly addresses: readonly string[];
}

/** How far the mesh group's log was applied where a list was made. */
interface Position {
  readonly generation: number;
  readonly index: number;
}

const NOWHERE: Position = { generation: 0, index: 0 };

export class Roll {
  readonly #options: RollOptions;
  #told: { readonly position: Position; readonly peers: ReadonlySet<PeerId> } | undefined;
  #timer: Timer | undefined;
  #asking = false;
  #turn = 0;

  constructor(options: RollOptions) {
    this.#options = options;
  }

  start(): void {
    const { transport, clock, requireMember } = this.#options;
    transport.onRequest(ROLL_REQUEST, async (from, payload) => {
      requireMember(from);
      return this.#answer(RollBody.decode(payload));
    });
    this.#timer = every(clock, ROLL_ASK_PERIOD_MS, () => void this.#ask());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Members by a list that is newer than this machine's own copy; undefined where there is none such. */
  newer(): ReadonlySet<PeerId> | undefined {
    if (this.#told !== undefined && !isAfter(this.#told.position, this.#own())) this.#told = undefined;
    return this.#told?.peers;
  }

  #own(): Position {
    const replica = this.#options.host.replica(MESH_GROUP);
    return replica === undefined ? NOWHERE : { generation: replica.generation, index: replica.appliedIndex };
  }

  #answer({ missing, ...known }: ReturnType<typeof RollBody.decode>): Uint8Array {
    const position = this.#own();
    const mesh = this.#options.host.replica(MESH_GROUP)?.machine as MeshMachine | undefined;
    if (mesh?.settings() === undefined)
      throw new ShoalError('GroupNotFound', 'This machine has no list yet.');
    const members = isAfter(position, known) ? mesh.machines() : [];
    return RollAnswer.encode({
      ...position,
      members: members.map(({ peer, addresses }) => ({ peer, addresses: [...addresses] })),
      found: missing
        .filter((peer) => this.#options.transport.isConnected(peer))
        .map((peer) => ({ peer, addresses: [...this.#options.addressesOf(peer)] })),
    });
  }

  #missing(): string[] {
    const { host, transport } = this.#options;
    const voters = host.replica(MESH_GROUP)?.raft.status().configuration.voters ?? [];
    const peers = voters.map(peerOfMachine).filter((peer) => !transport.isConnected(peer));
    return peers.slice(0, ROLL_MISSING_MAX);
  }

  async #ask(): Promise<void> {
    const { host, transport, log } = this.#options;
    if (this.#asking || (host.replica(MESH_GROUP)?.leadership.leader ?? null) !== null) return;
    const peers = transport.connected().filter((peer) => peer !== transport.self);
    const peer = peers[this.#turn++ % Math.max(1, peers.length)];
    if (peer === undefined) return;
    this.#asking = true;
    try {
      const known = this.newer() === undefined ? this.#own() : (this.#told?.position ?? NOWHERE);
      const body = RollBody.encode({ ...known, missing: this.#missing() });
      const answer = await transport.request(peer, ROLL_REQUEST, body, { timeoutMs: ROLL_ASK_TIMEOUT_MS });
      this.#take(RollAnswer.decode(answer), known);
    } catch (error) {
      log.debug({ peer, error: asShoalError(error).message }, 'a member had no list of members to tell');
    } finally {
      this.#asking = false;
    }
  }

  #take({ members, found, ...position }: ReturnType<typeof RollAnswer.decode>, known: Position): void {
    if (members.length > 0 && isAfter(position, known) && isAfter(position, this.#own()))
      this.#told = { position, peers: new Set(members.map(({ peer }) => peer)) };
    // Where they are by a link comes last, and is tried first.
    if (members.length + found.length > 0) this.#options.onTold([...members, ...found]);
  }
}

function isAfter(a: Position, b: Position): boolean {
  return a.generation > b.generation || (a.generation === b.generation && a.index > b.index);
}
