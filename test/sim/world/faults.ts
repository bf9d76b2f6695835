/** Carries a fault script out, and in the end makes all well. */
import { assertNever } from '../../../src/lib/assert.ts';
import { poolGroup } from '../../../src/model/ids.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { FaultEvent, FaultScript } from './fault-script.ts';
import type { FileReferee } from './file-referee.ts';
import { CALM, type SimNetwork } from './network.ts';
import { QUICK_DISK, type SimMachine } from './sim-machine.ts';
import type { Timeline } from './timeline.ts';
import { Scope, type VirtualTime } from './virtual-time.ts';

/** The wall clock is set at most this far off. */
const CLOCK_JUMP_MS_MAX = 300_000;
const DELAY_MS_MAX = 800;
/** After a power cut, from one machine to the next. */
const POWER_RETURNS_MS_MAX = 1_000;

export interface FaultWorld {
  readonly time: VirtualTime;
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  /** In order of their numbers; some may not have joined yet. */
  readonly machines: readonly SimMachine[];
  readonly disks: DiskBudget;
  /** Undefined in worlds without files. */
  readonly files: FileReferee | undefined;
}

export class Faults {
  readonly #world: FaultWorld;
  readonly #scope = new Scope('faults');

  constructor(world: FaultWorld) {
    this.#world = world;
  }

  begin(script: FaultScript): void {
    for (const event of script) this.#later(event.atMs, () => this.#strike(event));
  }

  #strike(event: FaultEvent): void {
    const { network, machines } = this.#world;
    const { kind, amount, forMs } = event;
    const machine = machines[event.machines[0] ?? 0];
    const other = machines[event.machines[1] ?? 0];
    switch (kind) {
      case 'loss':
      case 'gossipLoss':
      case 'gossipCopies':
      case 'corrupt':
        network.weather[kind] = amount;
        return;
      case 'delay':
        Object.assign(network.weather, { delay: amount, delayMsMax: 20 + amount * 10 * DELAY_MS_MAX });
        return;
      case 'partition':
        this.#cutOff(event.machines, forMs);
        return;
      case 'strand':
        this.#strand(event);
        return;
      case 'powerCut':
        this.#cutPower(event);
        return;
      default:
        if (machine?.hasJoined && other?.hasJoined) this.#strikeMachine(event, machine, other);
    }
  }

  #strikeMachine(event: FaultEvent, machine: SimMachine, other: SimMachine): void {
    const { kind, forMs, amount } = event;
    switch (kind) {
      case 'cutLink':
        this.#cut(
          [
            [machine.name, other.name],
            [other.name, machine.name],
          ],
          forMs,
        );
        break;
      case 'oneWay':
        this.#cut([[machine.name, other.name]], forMs);
        break;
      case 'killAgent':
        this.#restart(machine, forMs, () => {
          machine.killAgent();
          if (amount < 0.3) machine.killRunner();
        });
        break;
      case 'move':
        this.#restart(machine, forMs, () => machine.move());
        break;
      case 'killRunner':
        machine.killRunner();
        break;
      case 'losePower':
        this.#restart(machine, forMs, () => machine.losePower());
        break;
      case 'wipeDisk':
        this.#loseDisk(machine, forMs, () => machine.wipeDisk());
        break;
      case 'rot':
        this.#loseDisk(machine, forMs, () => machine.rot(amount));
        break;
      case 'stopAgent':
      case 'stopMachine':
      case 'suspend':
        machine.freeze(kind);
        this.#later(forMs, () => machine.thaw());
        break;
      case 'setClock':
        machine.setClock((amount - 0.5) * 2 * CLOCK_JUMP_MS_MAX);
        break;
      case 'slowDisk':
        this.#slow(machine, forMs, amount);
        break;
      case 'rotChunks':
        this.#rotChunks(machine, amount);
        break;
      case 'fillDisk':
        machine.fillDisk();
        this.#later(forMs, () => machine.freeDisk());
        break;
      case 'loss':
      case 'gossipLoss':
      case 'gossipCopies':
      case 'corrupt':
      case 'delay':
      case 'partition':
      case 'powerCut':
      case 'strand':
        break;
      default:
        assertNever(kind);
    }
  }

  #restart(machine: SimMachine, downMs: number, end: () => void): void {
    if (!machine.isUp) return;
    end();
    this.#later(downMs, () => machine.start());
  }

  /** Not more disks than a majority can bear, by what the world knows of all disks. */
  #loseDisk(machine: SimMachine, downMs: number, lose: () => void): void {
    if (machine.isUp && this.#world.disks.spend(machine)) this.#restart(machine, downMs, lose);
  }

  /** They come back one after the other. */
  #cutPower({ forMs, amount }: FaultEvent): void {
    this.#world.timeline.note('faults', 'cut the power of all machines');
    for (const [number, machine] of this.#world.machines.entries()) {
      if (!machine.hasJoined) continue;
      machine.losePower();
      this.#later(forMs + number * amount * POWER_RETURNS_MS_MAX, () => machine.start());
    }
  }

  #rotChunks(machine: SimMachine, where: number): void {
    const { files, disks } = this.#world;
    const chunks = files?.chooseChunks(machine, where) ?? [];
    if (chunks.length > 0 && disks.spendChunks(machine)) files?.rot(machine, chunks);
  }

  #slow(machine: SimMachine, forMs: number, amount: number): void {
    machine.pace.syncedMsMax = amount < 0.33 ? 30 : amount < 0.66 ? 200 : 1_500;
    this.#world.timeline.note(machine.name, `writes take ${machine.pace.syncedMsMax} ms`);
    this.#later(forMs, () => Object.assign(machine.pace, QUICK_DISK));
  }

  #strand({ machines: [, other = 0], forMs }: FaultEvent): void {
    const { machines } = this.#world;
    const leader = machines.findIndex(
      ({ isUp, life }) => isUp && life?.coordinator.leads(poolGroup('default')),
    );
    if (leader >= 0) this.#cutOff([leader, other], forMs);
  }

  #cutOff(numbers: readonly number[], forMs: number): void {
    const names = this.#world.machines.map(({ name }) => name);
    const inside = names.filter((_, number) => numbers.includes(number));
    const outside = names.filter((_, number) => !numbers.includes(number));
    this.#cut(
      inside.flatMap((a) => outside.flatMap((b) => [[a, b] as const, [b, a] as const])),
      forMs,
    );
  }

  #cut(links: readonly (readonly [string, string])[], forMs: number): void {
    const { network, timeline } = this.#world;
    if (links.length === 0) return;
    const what = (): string => links.map(([from, to]) => `${from}>${to}`).join(' ');
    timeline.note('faults', () => `cut ${what()}`);
    for (const [from, to] of links) network.cut(from, to);
    this.#later(forMs, () => {
      timeline.note('faults', () => `mend ${what()}`);
      for (const [from, to] of links) network.mend(from, to);
    });
  }

  #later(delayMs: number, act: () => void): void {
    this.#world.time.after(delayMs, this.#scope, act);
  }

  /** All is well from now on, and everybody is up. */
  end(): void {
    const { timeline, network, machines } = this.#world;
    timeline.note('faults', 'end');
    this.#scope.die();
    Object.assign(network.weather, CALM);
    network.mendAll();
    for (const machine of machines) {
      if (!machine.hasJoined) continue;
      Object.assign(machine.pace, QUICK_DISK);
      machine.freeDisk();
      machine.thaw();
      machine.start();
    }
  }
}
