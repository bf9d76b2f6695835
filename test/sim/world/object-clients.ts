/** Clients that contend for the same small objects; what they were answered must have an order in which it makes sense. */
import { asShoalError } from '../../../src/lib/errors.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import type { MachineOffer, Outcome } from '../../../src/model/commands.ts';
import { MESH_GROUP, machineId, poolGroup } from '../../../src/model/ids.ts';
import type { Habit } from './habits.ts';
import { findAnomaly, type Operation, type Specification } from './linearizability.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import { JOB, type JobAnswer, type JobCall, TOKEN } from './small-objects.ts';

const CLIENTS = 3;
const CALLS_EACH = 6;
const PAUSE_MS_MAX = 700;
const JOINERS = 2;
const TOKEN_VALID_MS = 3_600_000;
/** How long a brief token is good for. */
const BRIEF_MS = { low: 300, high: 1_500 } as const;
const LATE_JOINERS = 4;
const POOL = 'default';

/** All calls on one object, in the order in which they were made. */
class History<C, A> {
  readonly #operations: Operation<C, A>[] = [];

  async record(call: C, requests: Requests, ask: () => Promise<A>): Promise<A> {
    const calledAt = requests.nowMs;
    const index = this.#operations.push({
      call,
      calledAt,
      answer: undefined,
      answeredAt: Number.POSITIVE_INFINITY,
    });
    const answer = await ask();
    this.#operations[index - 1] = { call, calledAt, answer, answeredAt: requests.nowMs };
    return answer;
  }

  check<S>(what: string, specification: Specification<S, C, A>, referee: Referee): void {
    const ordered = findAnomaly(specification, this.#operations);
    if (ordered === undefined) return;
    const lines = this.#operations.map(
      ({ call, calledAt, answer, answeredAt }, index) =>
        `\n  ${ordered.includes(index) ? ' ' : '!'} ${calledAt.toFixed(1)} to ${answeredAt.toFixed(1)} ` +
        `${JSON.stringify(call)} -> ${JSON.stringify(answer)}`,
    );
    referee.fail('linearizability', `no order explains what was answered of ${what}${lines.join('')}`);
  }
}

export class ObjectClients {
  readonly #requests: Requests;
  readonly #random: Prng;
  readonly #habits: ReadonlySet<Habit>;
  readonly #referee: Referee;
  readonly #job = new History<JobCall, JobAnswer>();
  readonly #token = new History<{ readonly joiner: string }, 'joined' | 'refused'>();
  readonly #phantoms: MachineOffer[];

  constructor(requests: Requests, random: Prng, habits: ReadonlySet<Habit>, referee: Referee) {
    this.#requests = requests;
    this.#random = random;
    this.#habits = habits;
    this.#referee = referee;
    this.#phantoms = Array.from({ length: JOINERS }, (_, number) => phantom(`guest${number}`));
  }

  /** `groupMs`: the mesh group's time, by whoever knows most of it. */
  begin(untilMs: number, groupMs: () => number): void {
    const { nowMs } = this.#requests;
    const moment = (): number => nowMs + this.#random.next() * (untilMs - nowMs);
    if (this.#habits.has('contendForObjects'))
      for (let client = 0; client < CLIENTS; client++) {
        const random = this.#random.fork();
        this.#requests.at(moment(), () => this.#useJob(random));
      }
    if (this.#habits.has('contendForTokens')) this.#requests.at(moment(), () => this.#contendForToken());
    if (this.#habits.has('comeLate')) this.#requests.at(moment(), () => this.#comeLate(groupMs));
  }

  check(): void {
    this.#job.check('a job', JOB, this.#referee);
    this.#token.check('a token', TOKEN, this.#referee);
  }

  // --- A job ------------------------------------------------------------------------------------------------------------

  async #useJob(random: Prng): Promise<void> {
    const requests = this.#requests;
    await requests.command(MESH_GROUP, (life) => ({
      kind: 'job.reserve',
      job: 'shared',
      pool: POOL,
      voters: life.coordinator.chooseVoters(),
    }));
    await this.#callJob({ kind: 'add' });
    let version: string | undefined;
    for (let count = 0; count < CALLS_EACH; count++) {
      await requests.pause(random.int(0, PAUSE_MS_MAX));
      const ifMatch = random.chance(0.6) ? version : undefined;
      const isLast = count === CALLS_EACH - 1 && random.chance(0.3);
      const answer = await this.#callJob(
        isLast
          ? { kind: 'delete' }
          : random.chance(0.5)
            ? { kind: 'get' }
            : { kind: 'patch', priority: random.int(-9, 9), ifMatch },
      );
      if (answer.kind === 'done') version = answer.version;
    }
  }

  #callJob(call: JobCall): Promise<JobAnswer> {
    return this.#job.record(call, this.#requests, () => this.#askJob(call));
  }

  async #askJob(call: JobCall): Promise<JobAnswer> {
    const requests = this.#requests;
    const group = poolGroup(POOL);
    const job = 'shared';
    switch (call.kind) {
      case 'add':
        return answerOf(
          await requests.command(group, () => ({
            kind: 'job.add',
            spec: { id: job, poolInfo: { poolId: POOL } },
          })),
        );
      case 'delete':
        return answerOf(await requests.command(group, () => ({ kind: 'job.delete', job })));
      case 'patch': {
        const condition = call.ifMatch === undefined ? {} : { condition: { ifMatch: call.ifMatch } };
        const patch = { priority: call.priority };
        return answerOf(
          await requests.command(group, () => ({ kind: 'job.patch', job, patch, ...condition })),
        );
      }
      case 'get':
        return this.#getJob(job);
    }
  }

  async #getJob(job: string): Promise<JobAnswer> {
    try {
      const { eTag, spec, state } = await this.#requests.query(poolGroup(POOL), 'job.get', { job });
      if (state === 'deleting') return { kind: 'deleting' };
      return { kind: 'done', version: eTag, priority: spec.priority ?? 0 };
    } catch (error) {
      if (asShoalError(error).code === 'JobNotFound') return { kind: 'missing' };
      throw error;
    }
  }

  // --- A token ------------------------------------------------------------------------------------------------------------

  /** Two machines that will never be up come with the same token, each more than once; who got in is removed again. */
  async #contendForToken(): Promise<void> {
    const requests = this.#requests;
    const tokenPeer = 'token-shared';
    const made = await requests.command(MESH_GROUP, (life) => ({
      kind: 'token.create',
      id: tokenPeer,
      peer: tokenPeer,
      expiresAtMs: life.clock.wallMs() + TOKEN_VALID_MS,
      uses: 1,
      createdBy: life.machine,
    }));
    if (!made.ok) throw new Error(`no token: ${made.code}`);
    await Promise.all(
      this.#phantoms.flatMap((machine) => [1, 2].map(() => this.#joinBy(tokenPeer, machine))),
    );
    for (const { id } of this.#phantoms)
      await requests.command(MESH_GROUP, () => ({ kind: 'machine.remove', machine: id }));
  }

  /** Machines that will never be up come with a token that expires meanwhile: from then on nobody gets in by it. */
  async #comeLate(groupMs: () => number): Promise<void> {
    const requests = this.#requests;
    const tokenPeer = 'token-brief';
    const expiresAtMs = groupMs() + this.#random.int(BRIEF_MS.low, BRIEF_MS.high);
    const made = await requests.command(MESH_GROUP, (life) => ({
      kind: 'token.create',
      id: tokenPeer,
      peer: tokenPeer,
      expiresAtMs,
      uses: LATE_JOINERS,
      createdBy: life.machine,
    }));
    // The group's time may have gone past it.
    if (!made.ok) return;
    for (let number = 0; number < LATE_JOINERS; number++) {
      await requests.pause(this.#random.int(0, BRIEF_MS.high));
      const machine = phantom(`late${number}`);
      const isOver = groupMs() >= expiresAtMs;
      const { ok } = await requests.command(MESH_GROUP, () => ({ kind: 'machine.join', tokenPeer, machine }));
      if (ok && isOver) this.#referee.fail('tokens', `${machine.name} got in by a token that had expired`);
      if (ok) await requests.command(MESH_GROUP, () => ({ kind: 'machine.remove', machine: machine.id }));
    }
    // L4: what expired does not stay in the mesh's tables.
    for (;;) {
      const tokens = await requests.query(MESH_GROUP, 'token.list', {});
      if (!tokens.some(({ id }) => id === tokenPeer)) return;
      await requests.pause(BRIEF_MS.low);
    }
  }

  async #joinBy(tokenPeer: string, machine: MachineOffer): Promise<void> {
    await this.#requests.pause(this.#random.int(0, PAUSE_MS_MAX));
    await this.#token.record({ joiner: machine.peer }, this.#requests, async () => {
      const { ok } = await this.#requests.command(MESH_GROUP, () => ({
        kind: 'machine.join',
        tokenPeer,
        machine,
      }));
      return ok ? 'joined' : 'refused';
    });
  }
}

function answerOf(outcome: Outcome<{ readonly eTag: string }>): JobAnswer {
  if (outcome.ok) return { kind: 'done', version: outcome.value.eTag };
  switch (outcome.code) {
    case 'JobExists':
      return { kind: 'exists' };
    case 'JobNotFound':
      return { kind: 'missing' };
    case 'JobBeingDeleted':
    case 'OperationInvalidForCurrentState':
      return { kind: 'deleting' };
    case 'ConditionNotMet':
      return { kind: 'conditionNotMet' };
    default:
      throw new Error(`the shared job was answered ${outcome.code}: ${outcome.message}`);
  }
}

function phantom(peer: string): MachineOffer {
  return {
    id: machineId(peer, 'phantom'),
    peer,
    name: peer,
    capacity: {
      cores: 1,
      memoryBytes: 1024 ** 3,
      diskBytes: 1024 ** 3,
      gpus: 0,
      labels: [],
      isolation: 'namespace',
      operatingSystem: 'simulated',
    },
    addresses: [`/sim/${peer}`],
    version: 'simulated',
  };
}
