/**
 * What goes wrong in a world, written down before it begins: each seed draws which kinds of faults are on (swarm
 * testing), and then every single one with its moment, place and strength. A script can be replayed with faults left
 * out, and nothing else of the world draws other numbers for it.
 */
import type { Prng } from '../../../src/lib/prng.ts';

/** How links are for a while; each has one event at the beginning. */
const WEATHER_KINDS = ['loss', 'gossipLoss', 'gossipCopies', 'delay', 'corrupt'] as const;
export type WeatherKind = (typeof WEATHER_KINDS)[number];

export const FAULT_KINDS = [
  ...WEATHER_KINDS,
  'partition',
  /** A coordinator and one other machine on the wrong side. */
  'strand',
  /** Two machines do not reach each other, though all others reach both. */
  'cutLink',
  'oneWay',
  'killAgent',
  'killRunner',
  /** Takes back any number of the last writes that were not synced; one that was torn in the middle counts as not written. */
  'losePower',
  /** SIGSTOP. */
  'stopAgent',
  'stopMachine',
  /** Monotonic time stands still meanwhile, boot time and the wall clock do not. */
  'suspend',
  /** The agent comes back under another address. */
  'move',
  /** Somebody sets the wall clock. */
  'setClock',
  'slowDisk',
  'fillDisk',
  /** One bit of one record. */
  'rot',
  'wipeDisk',
  /** The whole building: every machine loses power at the same moment. */
  'powerCut',
  /** One bit of each of some chunks of a content; only in worlds with files. */
  'rotChunks',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultEvent {
  readonly kind: FaultKind;
  /** From the beginning of the faults. */
  readonly atMs: number;
  /** Until it is mended, or the machine is started again. */
  readonly forMs: number;
  /** By number. Partitions: one side. */
  readonly machines: readonly number[];
  /** A probability, or milliseconds, or how bad: see Faults. */
  readonly amount: number;
}

export type FaultScript = readonly FaultEvent[];

const KIND_CHANCE = 0.3;

export function drawKinds(random: Prng): readonly FaultKind[] {
  return FAULT_KINDS.filter(() => random.chance(KIND_CHANCE));
}

export function drawScript(
  random: Prng,
  kinds: readonly FaultKind[],
  world: {
    readonly machines: number;
    readonly chaosMs: number;
    /** From one fault to the next. */
    readonly pauseMs: { readonly low: number; readonly high: number };
  },
): FaultScript {
  const script: FaultEvent[] = [];
  for (const kind of kinds) if (isWeather(kind)) script.push(drawWeather(random, kind, world.chaosMs));
  const strikes = kinds.filter((kind) => !isWeather(kind));
  if (strikes.length === 0) return script;
  let atMs = 0;
  for (;;) {
    atMs += random.int(world.pauseMs.low, world.pauseMs.high);
    if (atMs >= world.chaosMs) return script;
    script.push(drawStrike(random, random.pick(strikes), atMs, world.machines));
  }
}

function isWeather(kind: FaultKind): kind is WeatherKind {
  return WEATHER_KINDS.some((weather) => weather === kind);
}

function drawWeather(random: Prng, kind: WeatherKind, forMs: number): FaultEvent {
  const strength = random.next();
  const amounts: Record<WeatherKind, number> = {
    loss: strength * 0.03,
    gossipLoss: strength < 0.33 ? 0.05 : strength < 0.66 ? 0.3 : 1,
    gossipCopies: 0.2,
    delay: strength * 0.1,
    corrupt: strength * 0.002,
  };
  return { kind, atMs: 0, forMs, machines: [], amount: amounts[kind] };
}

function drawStrike(random: Prng, kind: FaultKind, atMs: number, machines: number): FaultEvent {
  const first = random.int(0, machines - 1);
  const second = (first + random.int(1, Math.max(1, machines - 1))) % machines;
  const inside = Array.from({ length: machines }, (_, number) => number).filter(() => random.chance(0.4));
  return {
    kind,
    atMs,
    forMs: random.int(...durationOf(kind)),
    machines: kind === 'partition' ? inside : [first, second],
    amount: random.next(),
  };
}

function durationOf(kind: FaultKind): [number, number] {
  switch (kind) {
    case 'killAgent':
    case 'move':
    case 'rot':
      return [20, 4_000];
    case 'losePower':
    case 'powerCut':
    case 'wipeDisk':
      return [300, 5_000];
    case 'suspend':
      return [1_000, 9_000];
    case 'fillDisk':
    case 'slowDisk':
      return [300, 4_000];
    default:
      return [100, 6_000];
  }
}

/** One line for each fault, and the whole again as JSON for `--script`. */
export function printScript(script: FaultScript): string {
  const lines = script.map(
    ({ kind, atMs, forMs, machines, amount }) =>
      `  ${String(atMs).padStart(6)} ms  ${kind} ${machines.join(',')} for ${forMs} ms (${amount.toFixed(4)})`,
  );
  return `${lines.join('\n')}\n  --script '${JSON.stringify(script)}'`;
}

/** Throws for what is no script. */
export function parseScript(text: string): FaultScript {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed) || !parsed.every(isFaultEvent)) throw new Error('This is not a fault script.');
  return parsed;
}

function isFaultEvent(value: unknown): value is FaultEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, atMs, forMs, machines, amount } = value as Partial<Record<keyof FaultEvent, unknown>>;
  return (
    FAULT_KINDS.some((known) => known === kind) &&
    [atMs, forMs, amount].every(Number.isFinite) &&
    Array.isArray(machines) &&
    machines.every(Number.isInteger)
  );
}
