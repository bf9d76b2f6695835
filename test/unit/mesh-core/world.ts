/** A mesh group's state machine with its rows beside it, as a driver and a store would hold them. */
import type { Applied, RowReader, RowWrite } from '../../../coordinator/core/interface.ts';
import type { MeshEffect, MeshMachineOptions } from '../../../coordinator/core/mesh/machine.ts';
import { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import type { MachineOffer, MeshCommand, Outcome } from '../../../src/model/commands.ts';
import type { MeshQueries } from '../../../src/model/queries.ts';
import { decode, encode } from '../../../src/wire/codec.ts';

export const GIB = 1024 ** 3;
export const SETTINGS = { meshId: 'mesh-1', accountName: 'shoal', accountKey: 'a2V5' };

export function offer(name: string, over: Partial<MachineOffer> = {}): MachineOffer {
  return {
    id: `peer${name}/00000001`,
    peer: `peer${name}`,
    name,
    capacity: {
      cores: 4,
      memoryBytes: 8 * GIB,
      diskBytes: 100 * GIB,
      gpus: 0,
      labels: ['linux'],
      isolation: 'cgroup',
      operatingSystem: 'linux',
    },
    addresses: ['/ip4/127.0.0.1/tcp/1'],
    version: '0.1.0',
    ...over,
  };
}

export const idOf = (name: string): string => `peer${name}/00000001`;

export class MeshWorld {
  readonly rows = new Map<string, Uint8Array>();
  readonly #options: MeshMachineOptions;
  machine: MeshMachine;
  index = 0;
  timeMs = 1_000_000;
  last: Applied<MeshEffect> | undefined;

  constructor(options: MeshMachineOptions = {}) {
    this.#options = options;
    this.machine = new MeshMachine(options);
    this.machine.loaded();
  }

  /** Applies commands as one entry. They go through bytes, as they do in a log. */
  apply(commands: readonly { requestId: string | null; command: MeshCommand }[]): Applied<MeshEffect> {
    this.index += 1;
    const batch = decode(encode({ timeMs: this.timeMs, commands })) as Parameters<MeshMachine['apply']>[1];
    const applied = this.machine.apply(this.index, batch);
    for (const write of applied.writes) this.#write(write);
    this.last = applied;
    return applied;
  }

  run(command: MeshCommand, requestId: string | null = null): Outcome<unknown> {
    const [outcome] = this.apply([{ requestId, command }]).results;
    if (outcome === undefined) throw new Error('a command without an outcome');
    return outcome;
  }

  /** Runs a command that must be taken. */
  ok(command: MeshCommand): unknown {
    const outcome = this.run(command);
    if (!outcome.ok) throw new Error(`${command.kind} was refused: ${outcome.code} ${outcome.message ?? ''}`);
    return outcome.value;
  }

  /** The code of the refusal, or `ok`. A refusal must leave the state as it was, and this sees to it. */
  code(command: MeshCommand): string {
    const before = this.fingerprint();
    const outcome = this.run(command);
    if (outcome.ok) return 'ok';
    if (this.fingerprint() !== before) throw new Error(`${command.kind} was refused and changed the state`);
    return outcome.code;
  }

  init(...names: string[]): this {
    const [first = 'a', ...others] = names;
    this.ok({ kind: 'mesh.init', settings: SETTINGS, machine: offer(first) });
    for (const name of others) this.join(name);
    return this;
  }

  join(name: string, over: Partial<MachineOffer> = {}): void {
    const token = `token-${name}-${this.index}`;
    this.ok({
      kind: 'token.create',
      id: token,
      peer: `temp-${token}`,
      expiresAtMs: this.timeMs + 3_600_000,
      uses: 1,
      createdBy: idOf('a'),
    });
    this.ok({ kind: 'machine.join', tokenPeer: `temp-${token}`, machine: offer(name, over) });
  }

  async query<Q extends keyof MeshQueries>(name: Q, argument: MeshQueries[Q][0]): Promise<MeshQueries[Q][1]> {
    return (await this.machine.query(name, argument, this.reader)) as MeshQueries[Q][1];
  }

  /** Another machine, made of this one's rows. */
  reload(): MeshMachine {
    const machine = new MeshMachine(this.#options);
    for (const key of [...this.rows.keys()].sort()) machine.load(key, this.rows.get(key) as Uint8Array);
    machine.loaded();
    return machine;
  }

  /** The rows, but for clock and counters: what a refused command must not touch. */
  fingerprint(): string {
    return [...this.rows.keys()]
      .filter((key) => key !== 'k')
      .sort()
      .map((key) => `${key}=${Buffer.from(this.rows.get(key) as Uint8Array).toString('base64')}`)
      .join('\n');
  }

  readonly reader: RowReader = {
    get: async (key) => this.rows.get(key),
    getMany: async (keys) => keys.map((key) => this.rows.get(key)),
    scan: ({ prefix, after, limit }) => scanRows(this.rows, prefix, after, limit),
  };

  #write(write: RowWrite): void {
    switch (write.kind) {
      case 'put':
        this.rows.set(write.key, write.value);
        break;
      case 'delete':
        this.rows.delete(write.key);
        break;
      case 'clear':
        for (const key of [...this.rows.keys()]) if (key.startsWith(write.prefix)) this.rows.delete(key);
        break;
    }
  }
}

async function* scanRows(
  rows: ReadonlyMap<string, Uint8Array>,
  prefix: string,
  after = '',
  limit = Number.POSITIVE_INFINITY,
): AsyncIterable<readonly [string, Uint8Array]> {
  let given = 0;
  for (const key of [...rows.keys()].sort()) {
    if (!key.startsWith(prefix) || key <= after || given >= limit) continue;
    given += 1;
    yield [key, rows.get(key) as Uint8Array];
  }
}

/** Everything that can be read of a machine without rows, in an order that does not depend on how it came about. */
export function viewOf(machine: MeshMachine): unknown {
  const sorted = <T>(items: Iterable<T>): string[] => [...items].map((item) => JSON.stringify(item)).sort();
  return {
    settings: machine.settings(),
    timeMs: machine.timeMs(),
    machines: sorted(machine.machines()),
    allowed: sorted(machine.allowedPeers()),
    pools: sorted(machine.pools()),
    allotments: sorted(machine.allotments()),
    perPool: machine.pools().map((pool) => sorted(machine.allotments(pool.spec.id))),
    perMachine: sorted(machine.machines().map(({ id }) => sorted(machine.allotmentsOn(id)))),
    groups: sorted(machine.groups()),
    applications: machine.applications(),
    next: machine.nextNodeNumber(),
    due: machine.dueAtMs(),
    under: sorted(machine.underCopied(1_000, () => true)),
    held: sorted(machine.machines().map(({ id }) => [id, sorted(machine.blobsHeldBy(id))])),
  };
}
