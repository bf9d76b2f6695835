/**
 * Whose request is handled when: no caller may take the time of others, whether it has a key or not.
 *
 * A caller is an address with a credential. Each kind of request that it sends has an expected cost, learnt from the
 * CPU time that requests like it took. Light ones are never held back for their cost. Heavy ones (long lists, filters,
 * formulas, large bodies) and those that keep being refused run up a debt that falls with time; while it is too high,
 * the next one waits. So they take `FAIR_HEAVY_SHARE` of the time at most, however many are sent:
 *
 *   - heavy ones only while another caller is in a hurry, that is, waits for light work or had some done a moment ago.
 *     A caller that is alone, or beside others that are heavy too, is as fast as the machine. Heavy changes get
 *     `FAIR_CHANGE_SHARE`;
 *   - refused ones always: they do nobody any good.
 *
 * Of heavy reads, and of kinds not seen before, a caller has few in progress at once: so it is known what they cost
 * before many have begun. While another caller is in a hurry, that holds for all requests of a caller; the rest waits,
 * so that two busy callers share the time equally and not by their connections. A request that takes long because it
 * waits itself, for an election or for its body, does not count as in progress.
 *
 * A fair queue by used time alone would give a hostile caller half of the machine, and an honest one that sends a
 * request when it has its last answer would lose more than the other half: each would find the loop in the middle of
 * something long.
 */
import type { Clock } from '../lib/clock.ts';
import { CpuMeter, CpuUse, processCpuMs } from '../lib/cpu-meter.ts';
import { ShoalError } from '../lib/errors.ts';
import {
  API_REQUESTS_PER_CALLER_MAX,
  FAIR_CALLERS_KEPT,
  FAIR_CHANGE_SHARE,
  FAIR_DEBT_FREE_MS,
  FAIR_DEBT_MS_MAX,
  FAIR_HEAVY_SHARE,
  FAIR_HURRY_MS,
  FAIR_KINDS_KEPT,
  FAIR_LIGHT_MS,
  FAIR_PATIENCE_MS,
  FAIR_REFUSED_MS,
  FAIR_WAIT_MS_MAX,
  FAIR_WORKING_MAX,
  FAIR_WORKING_MS,
} from '../lib/limits.ts';

export interface TurnRequest {
  readonly caller: string;
  /** The machine's owner: what is refused to it is held back only while others are in a hurry. */
  readonly isOwner: boolean;
  /** Requests of one kind cost about the same. */
  readonly kind: string;
  /** It changes something, where it is not refused. */
  readonly changes: boolean;
  /** Its answer is searched for or computed: it is never light. */
  readonly searches: boolean;
  /** Of whoever waits for the answer. */
  readonly signal: AbortSignal;
}

/** A request that is being handled. */
export interface Turn {
  /** Runs; whoever waits on behalf of the request stops it meanwhile. */
  readonly meter: CpuMeter;
  /** It was handled. `refused`: because of what was asked, not of what there is. */
  end(refused: boolean): void;
}

export class FairShare {
  readonly #clock: Clock;
  readonly #cpu: CpuUse;
  /** The first is the one that was not heard of for longest. */
  readonly #callers = new Map<string, Caller>();
  /** Those that may be in a hurry. */
  readonly #hurried = new Set<Caller>();

  constructor(clock: Clock, cpuUsedMs: () => number = processCpuMs) {
    this.#clock = clock;
    this.#cpu = new CpuUse(cpuUsedMs);
  }

  /** Resolves when the request may be handled. Rejects with `TooManyRequests`, or as `signal` does. */
  async enter(request: TurnRequest): Promise<Turn> {
    const caller = this.#callerNamed(request.caller);
    if (caller.requests >= API_REQUESTS_PER_CALLER_MAX)
      throw new ShoalError('TooManyRequests', 'This caller has too many requests in progress.');
    caller.requests += 1;
    if (caller.waiting.length === 0 && this.#delayOf(caller, request) === 0)
      return this.#begin(caller, request);
    try {
      return await this.#wait(caller, request);
    } catch (thrown) {
      caller.requests -= 1;
      throw thrown;
    }
  }

  #wait(caller: Caller, request: TurnRequest): Promise<Turn> {
    const { signal } = request;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', abort);
        caller.waiting = caller.waiting.filter((one) => one !== waiter);
      };
      const waiter = {
        request,
        start: () => {
          leave();
          resolve(this.#begin(caller, request));
        },
      };
      const abort = (): void => {
        leave();
        reject(signal.reason);
      };
      const timer = this.#clock.after(FAIR_WAIT_MS_MAX, () => {
        leave();
        reject(new ShoalError('TooManyRequests', 'Requests of this caller cost too much.'));
      });
      signal.addEventListener('abort', abort);
      caller.waiting.push(waiter);
      if (caller.waiting.length === 1) this.#advance(caller);
    });
  }

  #begin(caller: Caller, { kind, changes, searches }: TurnRequest): Turn {
    const beganAtMs = this.#clock.monotonicMs();
    const expectedMs = caller.expected(kind);
    const share = changes && !caller.isRefused(kind) ? FAIR_CHANGE_SHARE : FAIR_HEAVY_SHARE;
    const isHeavy = (costMs: number): boolean => searches || costMs > FAIR_LIGHT_MS;
    const reservedMs = isHeavy(expectedMs) ? expectedMs / share : 0;
    caller.owe(reservedMs, beganAtMs);
    const isLight = !searches && caller.isLight(kind);
    const hurries = !isHeavy(expectedMs) && caller.requests <= FAIR_WORKING_MAX;
    if (hurries) this.#hurried.add(caller);
    const meter = new CpuMeter(this.#cpu);
    meter.resume();
    const work = { beganAtMs, isLight, hurries };
    caller.working.add(work);
    return {
      meter,
      end: (refused) => {
        if (!caller.working.delete(work)) return;
        caller.requests -= 1;
        const endedAtMs = this.#clock.monotonicMs();
        meter.pause();
        const costMs = Math.max(meter.spentMs, refused ? FAIR_REFUSED_MS : 0);
        caller.learn(kind, costMs, refused);
        const endShare = changes && !refused ? FAIR_CHANGE_SHARE : FAIR_HEAVY_SHARE;
        caller.owe((isHeavy(costMs) ? costMs / endShare : 0) - reservedMs, endedAtMs);
        if (isHeavy(costMs)) this.#excuse(endedAtMs - beganAtMs, endedAtMs);
        else if (hurries) caller.lightAtMs = endedAtMs;
        this.#advance(caller);
      },
    };
  }

  /** Begins what may begin of this caller's, and looks again when the next may. */
  #advance(caller: Caller): void {
    caller.timer?.cancel();
    caller.timer = undefined;
    let delayMs = FAIR_HURRY_MS;
    for (const waiter of caller.waiting) {
      const waiterMs = this.#delayOf(caller, waiter.request);
      if (waiterMs === 0) waiter.start();
      else delayMs = Math.min(delayMs, waiterMs);
    }
    if (caller.waiting.length > 0) caller.timer = this.#clock.after(delayMs, () => this.#advance(caller));
  }

  /** 0: it may begin now. Else after how long it is worth to look again. */
  #delayOf(caller: Caller, { kind, isOwner, changes, searches }: TurnRequest): number {
    const nowMs = this.#clock.monotonicMs();
    const hurried = this.#othersHurry(caller, nowMs);
    if (searches || !caller.isLight(kind)) {
      if (!changes && caller.heavySince(nowMs - FAIR_PATIENCE_MS) >= FAIR_WORKING_MAX) return FAIR_HURRY_MS;
      const tooMuchMs = caller.debtMs(nowMs) - FAIR_DEBT_FREE_MS;
      // The hurry of others may be over long before.
      if (tooMuchMs > 0 && (hurried || (!isOwner && caller.isRefused(kind))))
        return Math.min(Math.ceil(tooMuchMs), FAIR_HURRY_MS);
    }
    if (!hurried || caller.workingSince(nowMs - FAIR_WORKING_MS) < FAIR_WORKING_MAX) return 0;
    return FAIR_HURRY_MS;
  }

  /** Whoever was held up for so long by something heavy is still in a hurry. */
  #excuse(ms: number, nowMs: number): void {
    for (const caller of this.#hurried) caller.lightAtMs = Math.min(nowMs, caller.lightAtMs + ms);
  }

  #othersHurry(self: Caller, nowMs: number): boolean {
    for (const caller of this.#hurried) {
      if (caller === self) continue;
      if (caller.isInHurry(nowMs)) return true;
      this.#hurried.delete(caller);
    }
    return false;
  }

  #callerNamed(name: string): Caller {
    const known = this.#callers.get(name);
    if (known !== undefined) {
      this.#callers.delete(name);
      this.#callers.set(name, known);
      return known;
    }
    const caller = new Caller();
    this.#callers.set(name, caller);
    if (this.#callers.size > FAIR_CALLERS_KEPT) this.#forgetOne();
    return caller;
  }

  #forgetOne(): void {
    for (const [name, caller] of this.#callers) {
      if (caller.requests > 0) continue;
      this.#callers.delete(name);
      return;
    }
  }
}

interface Work {
  readonly beganAtMs: number;
  readonly isLight: boolean;
  /** Its caller has little else to wait for. */
  readonly hurries: boolean;
}

interface Expectation {
  readonly costMs: number;
  readonly refused: boolean;
}

class Caller {
  /** Waiting or being handled. */
  requests = 0;
  readonly working = new Set<Work>();
  /** When the last light one was handled. */
  lightAtMs = Number.NEGATIVE_INFINITY;
  waiting: { readonly request: TurnRequest; readonly start: () => void }[] = [];
  timer: ReturnType<Clock['after']> | undefined;
  readonly #expectations = new Map<string, Expectation>();
  #owedMs = 0;
  #owedAtMs = 0;

  expected(kind: string): number {
    return this.#expectations.get(kind)?.costMs ?? 0;
  }

  /** One that was not seen yet may turn out to be heavy. */
  isLight(kind: string): boolean {
    return this.expected(kind) <= FAIR_LIGHT_MS && this.#expectations.has(kind);
  }

  isRefused(kind: string): boolean {
    return this.#expectations.get(kind)?.refused ?? false;
  }

  /** Follows the median, so that a light request that met a collection of garbage stays light. */
  learn(kind: string, costMs: number, refused: boolean): void {
    const before = this.#expectations.get(kind)?.costMs;
    const step = before === undefined || costMs > before ? 1.3 : 0.8;
    const next = before === undefined ? costMs : before * step;
    this.#expectations.delete(kind);
    this.#expectations.set(kind, { costMs: next, refused });
    if (this.#expectations.size <= FAIR_KINDS_KEPT) return;
    for (const oldest of this.#expectations.keys()) {
      this.#expectations.delete(oldest);
      return;
    }
  }

  debtMs(nowMs: number): number {
    return Math.max(0, this.#owedMs - (nowMs - this.#owedAtMs));
  }

  owe(ms: number, nowMs: number): void {
    this.#owedMs = Math.min(FAIR_DEBT_MS_MAX, Math.max(0, this.debtMs(nowMs) + ms));
    this.#owedAtMs = nowMs;
  }

  workingSince(sinceMs: number): number {
    let young = 0;
    for (const { beganAtMs } of this.working) if (beganAtMs > sinceMs) young += 1;
    return young;
  }

  heavySince(sinceMs: number): number {
    let young = 0;
    for (const { beganAtMs, isLight } of this.working) if (!isLight && beganAtMs > sinceMs) young += 1;
    return young;
  }

  /** It waits for light work, or has just heard of some and is about to send the next. */
  isInHurry(nowMs: number): boolean {
    if (nowMs - this.lightAtMs < FAIR_HURRY_MS) return true;
    for (const { beganAtMs, hurries } of this.working)
      if (hurries && nowMs - beganAtMs < FAIR_PATIENCE_MS) return true;
    return false;
  }
}
