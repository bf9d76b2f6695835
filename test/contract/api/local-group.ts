/** One replicated state machine without the replication: commands are applied at once, rows are kept in a map. */
import type { RowReader, RowWrite, StateMachine } from '../../../coordinator/core/interface.ts';
import type { Command, Outcome } from '../../../src/model/commands.ts';
import { decode, encode } from '../../../src/wire/codec.ts';

export class LocalGroup {
  readonly machine: StateMachine<unknown>;
  readonly #rows = new Map<string, Uint8Array>();
  #index = 0;

  constructor(machine: StateMachine<unknown>) {
    this.machine = machine;
    machine.loaded();
  }

  get appliedIndex(): number {
    return this.#index;
  }

  /** Commands and answers cross the wire's codec, as they do between machines: what it loses is lost here too. */
  propose(timeMs: number, requestId: string | null, command: Command): Outcome<unknown> {
    this.#index += 1;
    const commands = [{ requestId, command: decode(encode(command)) as Command }];
    const applied = this.machine.apply(this.#index, { timeMs, commands });
    for (const write of applied.writes) this.#write(write);
    const [outcome] = applied.results;
    if (outcome === undefined) throw new Error('a command without an answer');
    return decode(encode(outcome)) as Outcome<unknown>;
  }

  async query(name: string, argument: unknown): Promise<unknown> {
    return decode(encode(await this.machine.query(name, decode(encode(argument)), this.#reader())));
  }

  #write(write: RowWrite): void {
    if (write.kind === 'put') this.#rows.set(write.key, write.value);
    else if (write.kind === 'delete') this.#rows.delete(write.key);
    else for (const key of [...this.#rows.keys()]) if (key.startsWith(write.prefix)) this.#rows.delete(key);
  }

  #reader(): RowReader {
    const rows = this.#rows;
    return {
      get: async (key) => rows.get(key),
      getMany: async (keys) => keys.map((key) => rows.get(key)),
      async *scan({ prefix, after, limit = Number.POSITIVE_INFINITY }) {
        const keys = [...rows.keys()]
          .filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
          .sort();
        for (const key of keys.slice(0, limit)) {
          const value = rows.get(key);
          if (value !== undefined) yield [key, value] as const;
        }
      },
    };
  }
}
