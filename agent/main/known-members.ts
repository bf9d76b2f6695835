/**
 * Who the members are and where, in a file beside the store. A machine whose store is lost admits nobody and dials nobody
 * but by this list: the one that founded the mesh was told of no member by any token, and those of an old token may all
 * be gone.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { ADDRESS_LENGTH_MAX, KNOWN_MEMBERS_MAX, PEER_ADDRESSES_MAX } from '../../src/lib/limits.ts';

const Members = Type.Array(
  Type.Object({
    peer: Type.String({ maxLength: 128 }),
    addresses: Type.Array(Type.String({ maxLength: ADDRESS_LENGTH_MAX }), { maxItems: PEER_ADDRESSES_MAX }),
  }),
  { maxItems: KNOWN_MEMBERS_MAX },
);
type Members = Static<typeof Members>;
const checker = Compile(Members);

export class KnownMembers {
  readonly #file: string;
  #text = '';

  constructor(file: string) {
    this.#file = file;
  }

  /** Nobody where there is no such file, or one that cannot be read: it only ever helps. */
  async load(): Promise<Members> {
    try {
      this.#text = await readFile(this.#file, 'utf8');
      const value: unknown = JSON.parse(this.#text);
      return checker.Check(value) ? value : [];
    } catch {
      return [];
    }
  }

  /** Written where it differs from what is there, beside it and renamed. */
  async note(
    members: readonly { readonly peer: string; readonly addresses: readonly string[] }[],
  ): Promise<void> {
    const known = members.slice(0, KNOWN_MEMBERS_MAX).map(({ peer, addresses }) => ({
      peer,
      addresses: addresses.slice(0, PEER_ADDRESSES_MAX),
    }));
    const text = `${JSON.stringify(known)}\n`;
    if (text === this.#text) return;
    await writeFile(`${this.#file}.next`, text, { mode: 0o600, flush: true });
    await rename(`${this.#file}.next`, this.#file);
    this.#text = text;
  }
}
