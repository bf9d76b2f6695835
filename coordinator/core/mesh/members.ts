/** The machines of the mesh: the allow-list. */

import { MACHINE_ADDRESSES_MAX, MACHINE_NAME_LENGTH_MAX } from '../../../src/lib/limits.ts';
import type { MachineOffer } from '../../../src/model/commands.ts';
import type { MachineId, PeerId } from '../../../src/model/ids.ts';
import { idKey, peerOfMachine } from '../../../src/model/ids.ts';
import type { MachineRecord } from '../../../src/model/machine.ts';
import type { Refusal } from '../refusal.ts';
import { OrderedMap } from './order.ts';
import { memberRow } from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

export interface Member extends MachineRecord {
  /**
   * Given once, never again: rows that name machines by number (the holders of content) need no change when a machine
   * leaves, and mean nothing for one that comes back under its old id.
   */
  readonly number: number;
  /** What the machine called itself; `name` may have a suffix. */
  readonly offeredName: string;
  /** The token identity it came in by; its own where it founded the mesh. */
  readonly joinedWith: PeerId;
}

export class Members {
  readonly #byId = new OrderedMap<MachineId, Member>();
  readonly #byPeer = new Map<PeerId, Member>();
  readonly #byName = new Map<string, Member>();
  readonly #byNumber = new Map<number, Member>();

  load(member: Member): void {
    this.#index(member);
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): readonly Member[] {
    return this.#byId.inOrder();
  }

  get(id: MachineId): Member | undefined {
    return this.#byId.get(id);
  }

  byPeer(peer: PeerId): Member | undefined {
    return this.#byPeer.get(peer);
  }

  byName(name: string): Member | undefined {
    return this.#byName.get(idKey(name));
  }

  byNumber(number: number): Member | undefined {
    return this.#byNumber.get(number);
  }

  /** Takes a machine in under a name of its own. `replaces` (the same peer with another store) leaves in the same step. */
  enrol(
    turn: Turn,
    offer: MachineOffer,
    given: { readonly number: number; readonly joinedWith: PeerId; readonly replaces?: Member },
  ): Member {
    if (given.replaces !== undefined) this.remove(turn, given.replaces);
    const keepsName = given.replaces !== undefined && given.replaces.offeredName === offer.name;
    const member: Member = {
      id: offer.id,
      peer: offer.peer,
      name: keepsName ? given.replaces.name : this.#freeName(offer.name),
      capacity: offer.capacity,
      addresses: offer.addresses,
      version: offer.version,
      joinedAtMs: turn.timeMs,
      scheduling: 'enabled',
      number: given.number,
      offeredName: offer.name,
      joinedWith: given.joinedWith,
    };
    this.#set(turn, member);
    return member;
  }

  /**
   * New addresses, capacity, version. A machine that became `host-2` stays `host-2` over restarts, even once `host` is
   * free: names change only where the machine itself offers another one.
   */
  update(turn: Turn, member: Member, offer: MachineOffer): Member {
    const renamed = offer.name !== member.offeredName;
    if (renamed) this.#byName.delete(idKey(member.name));
    const updated: Member = {
      ...member,
      name: renamed ? this.#freeName(offer.name) : member.name,
      capacity: offer.capacity,
      addresses: offer.addresses,
      version: offer.version,
      offeredName: offer.name,
    };
    this.#set(turn, updated);
    return updated;
  }

  setScheduling(turn: Turn, member: Member, scheduling: MachineRecord['scheduling']): void {
    this.#set(turn, { ...member, scheduling });
  }

  remove(turn: Turn, member: Member): void {
    this.#byId.delete(member.id);
    this.#byPeer.delete(member.peer);
    this.#byName.delete(idKey(member.name));
    this.#byNumber.delete(member.number);
    turn.delete(memberRow(member.id));
  }

  #set(turn: Turn, member: Member): void {
    this.#index(member);
    turn.put(memberRow(member.id), member);
  }

  #index(member: Member): void {
    this.#byId.set(member.id, member);
    this.#byPeer.set(member.peer, member);
    this.#byName.set(idKey(member.name), member);
    this.#byNumber.set(member.number, member);
  }

  /** `host`, else `host-2`, `host-3`…: the first that nobody has. */
  #freeName(offered: string): string {
    if (!this.#byName.has(idKey(offered))) return offered;
    for (let suffix = 2; ; suffix += 1) {
      const name = `${offered}-${suffix}`;
      if (!this.#byName.has(idKey(name))) return name;
    }
  }
}

/** The parts of a machine id go into row keys, so they must be plain. */
const MACHINE_ID_SHAPE = /^[A-Za-z0-9_-]{1,128}\/[A-Za-z0-9_-]{1,64}$/;

/** Undefined where the offer can be taken. */
export function checkOffer(offer: MachineOffer): Refusal | undefined {
  const { id, peer, name, capacity, addresses } = offer;
  if (!MACHINE_ID_SHAPE.test(id) || peerOfMachine(id) !== peer) {
    return refuseProperty('machine.id', id, 'it is not <PeerId>/<store incarnation> of the same peer.');
  }
  if (name.length < 1 || name.length > MACHINE_NAME_LENGTH_MAX || /[\u0000-\u001f\u007f]/.test(name)) {
    return refuseProperty(
      'machine.name',
      name,
      `a name has 1 to ${MACHINE_NAME_LENGTH_MAX} printable characters.`,
    );
  }
  if (!Number.isSafeInteger(capacity.cores) || capacity.cores < 0) {
    return refuseProperty('machine.cores', String(capacity.cores), 'it is not a count.');
  }
  if (!Number.isSafeInteger(capacity.memoryBytes) || capacity.memoryBytes < 0) {
    return refuseProperty('machine.memoryBytes', String(capacity.memoryBytes), 'it is not a count.');
  }
  if (addresses.length > MACHINE_ADDRESSES_MAX) {
    return refuseProperty(
      'machine.addresses',
      String(addresses.length),
      `at most ${MACHINE_ADDRESSES_MAX} are kept.`,
    );
  }
  return undefined;
}
