/** How a client speaks to the mesh: at any machine that is up, again under the same id until it has its answer. */
import { asShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { Command, CommandResult, Outcome } from '../../../src/model/commands.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import type { Queries, QueryName } from '../../../src/model/queries.ts';
import type { Referee } from './referee.ts';
import type { Life, SimMachine } from './sim-machine.ts';
import type { Timeline } from './timeline.ts';
import type { Scope, VirtualTime } from './virtual-time.ts';

const ATTEMPT_MS = 4_000;
const RETRY_MS = { low: 50, high: 600 } as const;
const MACHINE_TRIES = 8;
/** A request that was answered is asked again a while later, this often. */
const REPEAT_CHANCE = 0.1;
const REPEAT_MS = { low: 10, high: 1_500 } as const;

export interface RequestsWorld {
  readonly time: VirtualTime;
  readonly timeline: Timeline;
  readonly random: Prng;
  readonly machines: readonly SimMachine[];
  readonly referee: Referee;
  readonly scope: Scope;
  /** Removed from the mesh: no client asks it any more. */
  readonly isOut: (machine: SimMachine) => boolean;
}

export class Requests {
  readonly #world: RequestsWorld;
  #count = 0;
  #busy = 0;
  #failure: Error | undefined;

  constructor(world: RequestsWorld) {
    this.#world = world;
  }

  get nowMs(): number {
    return this.#world.time.nowMs;
  }

  /** True once all work is done and every request has its answer. */
  get isDone(): boolean {
    return this.#busy === 0;
  }

  /** What a client found wrong; it is thrown where the world looks, not inside a promise. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Work that the world must wait for. */
  at(atMs: number, work: () => Promise<unknown>): void {
    this.#busy += 1;
    this.#world.time.at(atMs, this.#world.scope, () => {
      work()
        .catch((error: unknown) => {
          this.#failure ??= asError(error);
        })
        .finally(() => {
          this.#busy -= 1;
        });
    });
  }

  /** Repeats the request until it is answered for good. S19: asked again, the answer is the same. */
  async command<C extends Command>(
    group: GroupId,
    make: (life: Life) => C,
  ): Promise<CommandResult<C['kind']>> {
    const { timeline, random } = this.#world;
    const requestId = `client-${this.#count++}`;
    let command: C | undefined;
    const propose = (): Promise<CommandResult<C['kind']>> =>
      this.#untilAnswered(async (life) => {
        command ??= make(life);
        return life.coordinator.router.propose(group, command, { requestId, timeoutMs: ATTEMPT_MS });
      });
    const answer = await propose();
    timeline.note('client', () => `${requestId} ${command?.kind}: ${answer.ok ? 'ok' : answer.code}`);
    if (random.chance(REPEAT_CHANCE)) this.#askAgain(requestId, answer, propose);
    return answer;
  }

  /** Asks one machine after another until one answers; each gets its own attempt. Rejects with what the mesh refuses. */
  ask<T>(attempt: (life: Life) => Promise<T>): Promise<T> {
    return this.#untilAnswered(attempt);
  }

  /** Rejects with what the mesh refuses, never for want of an answer. */
  query<Q extends QueryName>(group: GroupId, name: Q, argument: Queries[Q][0]): Promise<Queries[Q][1]> {
    return this.#untilAnswered((life) => life.coordinator.router.query(group, name, argument));
  }

  #askAgain(requestId: string, before: Outcome<unknown>, propose: () => Promise<Outcome<unknown>>): void {
    const { random, referee } = this.#world;
    this.at(this.nowMs + random.int(REPEAT_MS.low, REPEAT_MS.high), async () => {
      const again = await propose();
      const [one, other] = [JSON.stringify(before), JSON.stringify(again)];
      if (one !== other) referee.fail('S19', `${requestId} was answered ${one}, then ${other}`);
    });
  }

  async #untilAnswered<T>(ask: (life: Life) => Promise<T>): Promise<T> {
    const { random } = this.#world;
    for (;;) {
      const life = this.#someMachine();
      const answer = life === undefined ? undefined : await this.#inTime(ask(life), life);
      if (answer !== undefined) return answer.value;
      await this.pause(random.int(RETRY_MS.low, RETRY_MS.high));
    }
  }

  /** A few tries and no list of all that are up: a world may have many machines. */
  #someMachine(): Life | undefined {
    const { random, machines, isOut } = this.#world;
    for (let tries = 0; tries < MACHINE_TRIES; tries++) {
      const machine = random.pick(machines);
      if (machine.isUp && machine.life?.coordinator?.mesh !== undefined && !isOut(machine))
        return machine.life;
    }
    return undefined;
  }

  /** Undefined where no answer came: the machine died with the request, or says that one should try again. */
  #inTime<T>(asked: Promise<T>, { scope: agent }: Life): Promise<{ readonly value: T } | undefined> {
    const { time, scope } = this.#world;
    return new Promise((resolve, reject) => {
      const timer = time.after(ATTEMPT_MS + 1_000, scope, () => resolve(undefined));
      asked.then(
        (value) => {
          timer.cancel();
          resolve({ value });
        },
        (error: unknown) => {
          timer.cancel();
          if (agent.isDead || isForNow(error)) resolve(undefined);
          else reject(asError(error));
        },
      );
    });
  }

  pause(ms: number): Promise<void> {
    const { time, scope } = this.#world;
    return new Promise((resolve) => {
      time.after(ms, scope, resolve);
    });
  }
}

/** Another machine, or this one a moment later, may answer otherwise: also one whose store fails, or that was removed. */
function isForNow(thrown: unknown): boolean {
  const { retryable, code } = asShoalError(thrown);
  return retryable || code === 'NoQuorum' || code === 'DiskFull' || code === 'NotAMember';
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
