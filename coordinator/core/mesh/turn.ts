/**
 * What one log entry does to the mesh group's state, collected while its commands run: rows, events, effects. An
 * aggregate changes its hot columns and puts the row in the same breath; the row is encoded once, at the end, however
 * often the entry touched it.
 */

import type { EntityStamp } from '../../../src/model/commands.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import { encode } from '../../../src/wire/codec.ts';
import type { CoreEvent, RowWrite } from '../interface.ts';
import { type Refusal, refuse } from '../refusal.ts';

/**
 * What every machine's driver looks at again; it reads the rest from the state. Every machine follows the mesh group,
 * so these matter on all of them, not on the leader alone.
 */
export type MeshEffect =
  | { readonly kind: 'allowListChanged' }
  | { readonly kind: 'groupsChanged'; readonly group: GroupId }
  | { readonly kind: 'allotmentsChanged'; readonly pool: string }
  | { readonly kind: 'poolChanged'; readonly pool: string }
  | { readonly kind: 'schedulesChanged' }
  | { readonly kind: 'blobsChanged' };

export class Turn {
  readonly index: number;
  readonly timeMs: number;
  #ordinal = 0;
  /** Undefined: the row goes. */
  readonly #rows = new Map<string, unknown>();
  readonly #events: CoreEvent[] = [];
  readonly #effects = new Map<string, MeshEffect>();

  constructor(index: number, timeMs: number) {
    this.index = index;
    this.timeMs = timeMs;
  }

  put(key: string, row: object): void {
    this.#rows.set(key, row);
  }

  delete(key: string): void {
    this.#rows.set(key, undefined);
  }

  event(kind: string, message: string, data: Readonly<Record<string, string | number>> = {}): void {
    this.#events.push({ kind, message, data });
  }

  /** The same effect twice in one entry is one effect. */
  effect(effect: MeshEffect): void {
    this.#effects.set(JSON.stringify(effect), effect);
  }

  /** A new version for each call: two changes of one entity in one entry have different ETags. */
  stamp(): EntityStamp {
    this.#ordinal += 1;
    const hex = (value: number, digits: number): string =>
      value.toString(16).toUpperCase().padStart(digits, '0');
    return { eTag: `0x${hex(this.index, 11)}${hex(this.#ordinal, 5)}`, lastModifiedMs: this.timeMs };
  }

  writes(): RowWrite[] {
    const writes: RowWrite[] = [];
    for (const [key, row] of this.#rows) {
      writes.push(row === undefined ? { kind: 'delete', key } : { kind: 'put', key, value: encode(row) });
    }
    return writes;
  }

  events(): readonly CoreEvent[] {
    return this.#events;
  }

  effects(): readonly MeshEffect[] {
    return [...this.#effects.values()];
  }
}

/** A property of the request is wrong: Azure's code with its three values. */
export function refuseProperty(property: string, value: string, reason: string): Refusal {
  return refuse('InvalidPropertyValue', `The value of ${property} is not valid: ${reason}`, {
    PropertyName: property,
    PropertyValue: value.slice(0, 200),
    Reason: reason,
  });
}
