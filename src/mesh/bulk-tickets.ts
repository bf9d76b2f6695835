import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import { BULK_TICKET_MS, BULK_TICKETS_MAX } from '../lib/limits.ts';

/** The right to open one bulk socket here. The key never leaves the two peers' mesh connection. */
export interface Ticket<Use> {
  readonly id: string;
  /** The TLS pre-shared key, 32 bytes. */
  readonly key: Buffer;
  readonly peer: string;
  readonly use: Use;
}

/** Tickets given out and not yet used. Each is good for one use within BULK_TICKET_MS. */
export class BulkTickets<Use> {
  readonly #clock: Clock;
  readonly #open = new Map<string, { readonly ticket: Ticket<Use>; readonly timer: Timer }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws `TooManyRequests` where too many are open. */
  issue(peer: string, use: Use): Ticket<Use> {
    if (this.#open.size >= BULK_TICKETS_MAX) {
      throw new ShoalError('TooManyRequests', `${BULK_TICKETS_MAX} bulk tickets are open.`);
    }
    const ticket = { id: randomBytes(16).toString('hex'), key: randomBytes(32), peer, use };
    const timer = this.#clock.after(BULK_TICKET_MS, () => this.#open.delete(ticket.id));
    this.#open.set(ticket.id, { ticket, timer });
    return ticket;
  }

  /** The ticket, once. */
  take(id: string): Ticket<Use> | undefined {
    const found = this.#open.get(id);
    this.#open.delete(id);
    found?.timer.cancel();
    return found?.ticket;
  }

  /** Tickets of peers that this does not name die. */
  retain(isAllowed: (peer: string) => boolean): void {
    for (const [id, { ticket }] of [...this.#open]) if (!isAllowed(ticket.peer)) this.take(id);
  }

  clear(): void {
    this.retain(() => false);
  }
}
