/** What goes wrong in a world: each seed draws which kinds of faults are on (swarm testing), and then when and where. */
import { assertNever } from '../../../src/lib/assert.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { poolGroup } from '../../../src/model/ids.ts';
import { CALM, type SimNetwork, type Weather } from './network.ts';
import { QUICK_DISK, type SimMachine } from './sim-machine.ts';
import type { Timeline } from './timeline.ts';
import { Scope, type VirtualTime } from './virtual-time.ts';

export const FAULT_KINDS = [
  'loss',
  'gossipLoss',
  'gossipCopies',
  'delay',
  'partition',
  /** A coordinator and one other machine on the wrong side. */
  'strand',
  'oneWay',
  'killAgent',
  'killRunner',
  'losePower',
  'stopAgent',
  'stopMachine',
  'slowDisk',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** From one fault to the next, ms. */
const PAUSE_MS = { low: 100, high: 3_000 } as const;

export function drawFaults(random: Prng): readonly FaultKind[] {
  return FAULT_KINDS.filter(() => random.chance(0.35));
}

export class Faults {
  readonly #time: VirtualTime;
  readonly #timeline: Timeline;
  readonly #random: Prng;
  readonly #network: SimNetwork;
  readonly #machines: readonly SimMachine[];
  readonly #scope = new Scope('faults');
  readonly #kinds: readonly FaultKind[];

  constructor(
    time: VirtualTime,
    timeline: Timeline,
    random: Prng,
    world: { network: SimNetwork; machines: readonly SimMachine[]; kinds: readonly FaultKind[] },
  ) {
    this.#time = time;
    this.#timeline = timeline;
    this.#random = random;
    this.#network = world.network;
    this.#machines = world.machines;
    this.#kinds = world.kinds;
  }

  begin(): void {
    const { weather } = this.#network;
    Object.assign(weather, this.#weather());
    if (this.#kinds.length > 0) this.#next();
  }

  #weather(): Partial<Weather> {
    const random = this.#random;
    const is = (kind: FaultKind): boolean => this.#kinds.includes(kind);
    return {
      ...(is('loss') ? { loss: random.next() * 0.03 } : {}),
      ...(is('gossipLoss') ? { gossipLoss: random.pick([0.05, 0.3, 1]) } : {}),
      ...(is('gossipCopies') ? { gossipCopies: 0.2 } : {}),
      ...(is('delay') ? { delay: random.next() * 0.1, delayMsMax: random.int(20, 800) } : {}),
    };
  }

  #next(): void {
    this.#time.after(this.#random.int(PAUSE_MS.low, PAUSE_MS.high), this.#scope, () => {
      this.#strike(this.#random.pick(this.#kinds));
      this.#next();
    });
  }

  #strike(kind: FaultKind): void {
    const machine = this.#random.pick(this.#machines);
    switch (kind) {
      case 'loss':
      case 'gossipLoss':
      case 'gossipCopies':
      case 'delay':
        break; // The weather, all the time.
      case 'partition':
        this.#cutOff(this.#machines.filter(() => this.#random.chance(0.4)));
        break;
      case 'strand':
        this.#strand();
        break;
      case 'oneWay':
        this.#cutOneWay();
        break;
      case 'killAgent':
        this.#restart(machine, { low: 20, high: 6_000 }, () => {
          machine.killAgent();
          if (this.#random.chance(0.3)) machine.killRunner();
        });
        break;
      case 'killRunner':
        machine.killRunner();
        break;
      case 'losePower':
        this.#restart(machine, { low: 500, high: 8_000 }, () => machine.losePower());
        break;
      case 'stopAgent':
      case 'stopMachine':
        machine.freeze(kind === 'stopMachine');
        this.#later(this.#random.int(100, 7_000), () => machine.thaw());
        break;
      case 'slowDisk':
        this.#slow(machine);
        break;
      default:
        assertNever(kind);
    }
  }

  #restart(machine: SimMachine, downMs: { low: number; high: number }, end: () => void): void {
    if (!machine.isUp) return;
    end();
    this.#later(this.#random.int(downMs.low, downMs.high), () => machine.start());
  }

  #slow(machine: SimMachine): void {
    machine.pace.syncedMsMax = this.#random.pick([30, 200, 1_500]);
    this.#timeline.note(machine.name, `writes take ${machine.pace.syncedMsMax} ms`);
    this.#later(this.#random.int(500, 5_000), () => Object.assign(machine.pace, QUICK_DISK));
  }

  #strand(): void {
    const leader = this.#machines.find(
      ({ isUp, life }) => isUp && life?.coordinator.leads(poolGroup('default')),
    );
    if (leader === undefined) return;
    const others = this.#machines.filter((machine) => machine !== leader);
    this.#cutOff([leader, this.#random.pick(others)]);
  }

  #cutOff(inside: readonly SimMachine[]): void {
    const random = this.#random;
    const outside = this.#machines.filter((machine) => !inside.includes(machine));
    if (inside.length === 0 || outside.length === 0) return;
    const names = inside.map(({ name }) => name).join(' ');
    this.#timeline.note('faults', `cuts ${names} off`);
    const links = inside.flatMap((a) =>
      outside.flatMap((b) => [[a.name, b.name] as const, [b.name, a.name] as const]),
    );
    for (const [from, to] of links) this.#network.cut(from, to);
    this.#later(random.int(200, 9_000), () => {
      this.#timeline.note('faults', `joins ${names} again`);
      for (const [from, to] of links) this.#network.mend(from, to);
    });
  }

  #cutOneWay(): void {
    const [from, to] = [this.#random.pick(this.#machines).name, this.#random.pick(this.#machines).name];
    if (from === to) return;
    this.#timeline.note('faults', `cuts ${from} > ${to}`);
    this.#network.cut(from, to);
    this.#later(this.#random.int(200, 9_000), () => {
      this.#timeline.note('faults', `mends ${from} > ${to}`);
      this.#network.mend(from, to);
    });
  }

  #later(delayMs: number, act: () => void): void {
    this.#time.after(delayMs, this.#scope, act);
  }

  /** All is well from now on, and everybody is up. */
  end(): void {
    this.#timeline.note('faults', 'end');
    this.#scope.die();
    Object.assign(this.#network.weather, CALM);
    this.#network.mendAll();
    for (const machine of this.#machines) {
      Object.assign(machine.pace, QUICK_DISK);
      machine.thaw();
      machine.start();
    }
  }
}
