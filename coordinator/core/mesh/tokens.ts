/**
 * Join tokens. A token is a temporary identity on the allow-list: whoever holds its private key may connect, and may
 * do one thing, which is to register a machine.
 */

import { TOKEN_USES_MAX, TOKENS_OPEN_MAX } from '../../../src/lib/limits.ts';
import type { MeshCommand } from '../../../src/model/commands.ts';
import type { PeerId } from '../../../src/model/ids.ts';
import { isValidId } from '../../../src/model/ids.ts';
import type { TokenEntity } from '../../../src/model/queries.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { OrderedMap } from './order.ts';
import { tokenRow } from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

export interface Token extends TokenEntity {
  readonly peer: PeerId;
}

export class Tokens {
  readonly #byId = new OrderedMap<string, Token>();
  readonly #byPeer = new Map<PeerId, Token>();

  load(token: Token): void {
    this.#index(token);
  }

  all(): readonly Token[] {
    return this.#byId.inOrder();
  }

  get(id: string): Token | undefined {
    return this.#byId.get(id);
  }

  byPeer(peer: PeerId): Token | undefined {
    return this.#byPeer.get(peer);
  }

  create(turn: Turn, command: Extract<MeshCommand, { kind: 'token.create' }>): Refusal | undefined {
    const { id, peer, expiresAtMs, uses, createdBy } = command;
    if (!isValidId(id) || this.#byId.has(id)) {
      return refuseProperty('token.id', id, 'it is taken, or not an id.');
    }
    if (this.#byPeer.has(peer)) return refuseProperty('token.peer', peer, 'another token has this identity.');
    if (!Number.isSafeInteger(uses) || uses < 1 || uses > TOKEN_USES_MAX) {
      return refuseProperty('token.uses', String(uses), `it is not between 1 and ${TOKEN_USES_MAX}.`);
    }
    if (!Number.isFinite(expiresAtMs) || expiresAtMs <= turn.timeMs) {
      return refuseProperty('token.expiresAtMs', String(expiresAtMs), 'it lies in the past.');
    }
    if (this.#byId.size >= TOKENS_OPEN_MAX) {
      return refuse('TooManyRequests', `${TOKENS_OPEN_MAX} join tokens are open: revoke some first.`);
    }
    this.#set(turn, { id, peer, expiresAtMs, usesLeft: uses, createdBy });
    return undefined;
  }

  /** One use less; after the last one the identity is off the allow-list. */
  use(turn: Turn, token: Token): void {
    if (token.usesLeft > 1) this.#set(turn, { ...token, usesLeft: token.usesLeft - 1 });
    else this.remove(turn, token);
  }

  remove(turn: Turn, token: Token): void {
    this.#byId.delete(token.id);
    this.#byPeer.delete(token.peer);
    turn.delete(tokenRow(token.id));
    turn.effect({ kind: 'allowListChanged' });
  }

  sweep(turn: Turn): void {
    for (const token of this.all()) {
      if (token.expiresAtMs <= turn.timeMs) this.remove(turn, token);
    }
  }

  /** When the next token expires. */
  dueAtMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const token of this.#byId.values()) due = Math.min(due, token.expiresAtMs);
    return due;
  }

  #set(turn: Turn, token: Token): void {
    this.#index(token);
    turn.put(tokenRow(token.id), token);
    turn.effect({ kind: 'allowListChanged' });
  }

  #index(token: Token): void {
    this.#byId.set(token.id, token);
    this.#byPeer.set(token.peer, token);
  }
}
