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
 *   - heavy reads also while the same caller is in a hurry on another connection, be it another program with the same
 *     key, but only after a tenth of a second of them: a program that does both at times does not notice;
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
import { keepRecent } from '../lib/keep-recent.ts';
import {
  API_REQUESTS_PER_CALLER_MAX,
  FAIR_CALLERS_KEPT,
  FAIR_CHANGE_SHARE,
  FAIR_DEBT_FREE_MS,
  FAIR_HEAVY_SHARE,
  FAIR_HURRY_MS,
  FAIR_LIGHT_MS,
  FAIR_OWN_DEBT_FREE_MS,
  FAIR_PATIENCE_MS,
  FAIR_REFUSED_MS,
  FAIR_WAIT_MS_MAX,
  FAIR_WORKING_MAX,
  FAIR_WORKING_MS,
} from '../lib/limits.ts';
import { Caller, type Connection, Hurried, Hurry, type Price } from './fair-caller.ts';

export interface TurnRequest {
  readonly caller: string;
  /** What it came on: programs that share a credential do not share connections. */
  readonly connection: object;
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

interface Waiter {
  readonly request: TurnRequest;
  readonly start: () => void;
}

type WaitingCaller = Caller<Waiter>;

export class FairShare {
  readonly #clock: Clock;
  readonly #cpu: CpuUse;
  /** The first is the one that was not heard of for longest. */
  readonly #callers = new Map<string, WaitingCaller>();
  readonly #hurried = new Hurried<WaitingCaller>();
  readonly #connections = new WeakMap<object, Connection>();

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
    // What waits is heavy, or begins as soon as something light has ended.
    const isNext = caller.waiting.length === 0 || isLight(caller, request);
    if (isNext && this.#delayOf(caller, request) === 0) return this.#begin(caller, request);
    try {
      return await this.#wait(caller, request);
    } catch (thrown) {
      caller.requests -= 1;
      throw thrown;
    }
  }

  #wait(caller: WaitingCaller, request: TurnRequest): Promise<Turn> {
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

  #begin(caller: WaitingCaller, request: TurnRequest): Turn {
    const { kind } = request;
    const beganAtMs = this.#clock.monotonicMs();
    const reserved = priceOf(request, caller.expected(kind), caller.isRefused(kind));
    caller.owe(reserved, beganAtMs);
    const work = { beganAtMs, isLight: isLight(caller, request) };
    const hurries = isHeavy(request, caller.expected(kind))
      ? []
      : this.#hurriesOf(caller, request.connection);
    for (const hurry of hurries) hurry.begin(work);
    caller.working.add(work);
    const meter = new CpuMeter(this.#cpu);
    meter.resume();
    return {
      meter,
      end: (refused) => {
        if (!caller.working.delete(work)) return;
        caller.requests -= 1;
        const endedAtMs = this.#clock.monotonicMs();
        meter.pause();
        const costMs = Math.max(meter.spentMs, leastCostMs(request, refused));
        caller.learn(kind, costMs, refused);
        const { debt, ownDebt } = priceOf(request, costMs, refused);
        caller.owe({ debt: debt - reserved.debt, ownDebt: ownDebt - reserved.ownDebt }, endedAtMs);
        const turnedOutHeavy = isHeavy(request, costMs);
        for (const hurry of hurries) hurry.end(work, turnedOutHeavy ? undefined : endedAtMs);
        if (turnedOutHeavy) this.#excuse(caller, endedAtMs - beganAtMs, endedAtMs);
        this.#advance(caller);
      },
    };
  }

  /** Whose hurry a light request on this connection shows. A caller with many in progress is in none. */
  #hurriesOf(caller: WaitingCaller, socket: object): readonly Hurry[] {
    const connection = this.#connections.get(socket) ?? { hurry: new Hurry() };
    this.#connections.set(socket, connection);
    const nowMs = this.#clock.monotonicMs();
    caller.connections.note(connection, nowMs);
    if (caller.requests > FAIR_WORKING_MAX) return [connection.hurry];
    this.#hurried.note(caller, nowMs);
    return [connection.hurry, caller.hurry];
  }

  /** Begins what may begin of this caller's, and looks again when the next may. */
  #advance(caller: WaitingCaller): void {
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
  #delayOf(caller: WaitingCaller, request: TurnRequest): number {
    const nowMs = this.#clock.monotonicMs();
    const hurried = this.#hurried.hasOther(caller, nowMs);
    if (!isLight(caller, request)) {
      if (!request.changes && caller.heavySince(nowMs - FAIR_PATIENCE_MS) >= FAIR_WORKING_MAX)
        return FAIR_HURRY_MS;
      const tooMuchMs = this.#tooMuchMs(caller, request, { hurried, nowMs });
      // The hurry of others may be over long before.
      if (tooMuchMs > 0) return Math.min(Math.ceil(tooMuchMs), FAIR_HURRY_MS);
    }
    if (!hurried || caller.workingSince(nowMs - FAIR_WORKING_MS) < FAIR_WORKING_MAX) return 0;
    return FAIR_HURRY_MS;
  }

  /** Of the debt that counts now, what is above what may be owed. */
  #tooMuchMs(
    caller: WaitingCaller,
    { kind, isOwner, changes, connection }: TurnRequest,
    { hurried, nowMs }: { readonly hurried: boolean; readonly nowMs: number },
  ): number {
    if (hurried || (!isOwner && caller.isRefused(kind))) return caller.debt.ms(nowMs) - FAIR_DEBT_FREE_MS;
    if (isOwner || changes || !caller.connections.hasOther(this.#connections.get(connection), nowMs))
      return 0;
    return caller.ownDebt.ms(nowMs) - FAIR_OWN_DEBT_FREE_MS;
  }

  /** Whoever was held up for so long by something heavy is still in a hurry. */
  #excuse(caller: WaitingCaller, ms: number, nowMs: number): void {
    this.#hurried.excuse(ms, nowMs);
    caller.connections.excuse(ms, nowMs);
  }

  #callerNamed(name: string): WaitingCaller {
    const caller: WaitingCaller = this.#callers.get(name) ?? new Caller();
    keepRecent(this.#callers, [name, caller], FAIR_CALLERS_KEPT, ({ requests }) => requests === 0);
    return caller;
  }
}

/** One that was not seen yet may turn out to be heavy. */
function isLight(caller: WaitingCaller, { kind, searches }: TurnRequest): boolean {
  return !searches && caller.isKnownLight(kind);
}

function isHeavy({ searches }: TurnRequest, costMs: number): boolean {
  return searches || costMs > FAIR_LIGHT_MS;
}

/** What is around the work itself counts where its caller sends more than it should: the connection, the headers, the credential. */
function leastCostMs({ searches }: TurnRequest, refused: boolean): number {
  if (refused) return FAIR_REFUSED_MS;
  return searches ? FAIR_LIGHT_MS : 0;
}

function priceOf(request: TurnRequest, costMs: number, refused: boolean): Price {
  if (!isHeavy(request, costMs)) return { debt: 0, ownDebt: 0 };
  if (request.changes && !refused) return { debt: costMs / FAIR_CHANGE_SHARE, ownDebt: 0 };
  return { debt: costMs / FAIR_HEAVY_SHARE, ownDebt: costMs / FAIR_HEAVY_SHARE };
}
