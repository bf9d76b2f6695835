/** What is known of one caller: what its requests cost, what it owes, and whether it is in a hurry. */

import type { Timer } from '../lib/clock.ts';
import { keepRecent } from '../lib/keep-recent.ts';
import {
  FAIR_DEBT_MS_MAX,
  FAIR_HURRY_MS,
  FAIR_KINDS_KEPT,
  FAIR_LIGHT_MS,
  FAIR_OWN_DEBT_MS_MAX,
  FAIR_PATIENCE_MS,
} from '../lib/limits.ts';

/** A request that is being handled. */
export interface Work {
  readonly beganAtMs: number;
  readonly isLight: boolean;
}

interface Expectation {
  readonly costMs: number;
  readonly refused: boolean;
}

/** What a request costs its caller, ms of waiting. */
export interface Price {
  /** To be waited while other callers are in a hurry, or because it was refused. */
  readonly debt: number;
  /** The same while other connections of the caller are. */
  readonly ownDebt: number;
}

export class Caller<Waiter> {
  /** Waiting or being handled. */
  requests = 0;
  readonly working = new Set<Work>();
  readonly hurry = new Hurry();
  /** Its connections that may be in a hurry, each by itself. */
  readonly connections = new Hurried<Connection>();
  readonly debt = new Debt(FAIR_DEBT_MS_MAX);
  readonly ownDebt = new Debt(FAIR_OWN_DEBT_MS_MAX);
  waiting: Waiter[] = [];
  timer: Timer | undefined;
  readonly #expectations = new Map<string, Expectation>();

  /** CPU time, ms. */
  expected(kind: string): number {
    return this.#expectations.get(kind)?.costMs ?? 0;
  }

  isKnownLight(kind: string): boolean {
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
    keepRecent(this.#expectations, [kind, { costMs: next, refused }], FAIR_KINDS_KEPT);
  }

  owe({ debt, ownDebt }: Price, nowMs: number): void {
    this.debt.owe(debt, nowMs);
    this.ownDebt.owe(ownDebt, nowMs);
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
}

/** Milliseconds of waiting; time itself pays them. */
class Debt {
  readonly #maxMs: number;
  #owedMs = 0;
  #owedAtMs = 0;

  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  ms(nowMs: number): number {
    return Math.max(0, this.#owedMs - (nowMs - this.#owedAtMs));
  }

  owe(ms: number, nowMs: number): void {
    this.#owedMs = Math.min(this.#maxMs, Math.max(0, this.ms(nowMs) + ms));
    this.#owedAtMs = nowMs;
  }
}

/** One that sends its next request when it has its last answer. */
export interface Connection {
  readonly hurry: Hurry;
}

/** Whether somebody waits for light work, or has just heard of some and is about to send the next. */
export class Hurry {
  /** When the last light work was handled. */
  #lightAtMs = Number.NEGATIVE_INFINITY;
  readonly #light = new Set<Work>();

  begin(work: Work): void {
    this.#light.add(work);
  }

  /** `handledAtMs`: undefined where it turned out not to be light. */
  end(work: Work, handledAtMs: number | undefined): void {
    if (this.#light.delete(work) && handledAtMs !== undefined) this.#lightAtMs = handledAtMs;
  }

  /** It was held up for so long by something heavy. */
  excuse(ms: number, nowMs: number): void {
    this.#lightAtMs = Math.min(nowMs, this.#lightAtMs + ms);
  }

  is(nowMs: number): boolean {
    if (nowMs - this.#lightAtMs < FAIR_HURRY_MS) return true;
    for (const { beganAtMs } of this.#light) if (nowMs - beganAtMs < FAIR_PATIENCE_MS) return true;
    return false;
  }
}

/** Those that may be in a hurry; the first is the one that was longest without new light work, and the first to be over. */
export class Hurried<Who extends { readonly hurry: Hurry }> {
  readonly #all = new Set<Who>();

  note(who: Who, nowMs: number): void {
    this.#all.delete(who);
    for (const first of this.#all) {
      if (first.hurry.is(nowMs)) break;
      this.#all.delete(first);
    }
    this.#all.add(who);
  }

  hasOther(self: Who | undefined, nowMs: number): boolean {
    for (const who of this.#all) {
      if (!who.hurry.is(nowMs)) this.#all.delete(who);
      else if (who !== self) return true;
    }
    return false;
  }

  excuse(ms: number, nowMs: number): void {
    for (const { hurry } of this.#all) hurry.excuse(ms, nowMs);
  }
}
