/** A pool's state machine with rows in memory and no Raft: commands go straight in, and the whole state is checked after each. */
import { expect } from 'vitest';
import type { Applied, PoolEffect, RowReader, RowWrite } from '../../../coordinator/core/interface.ts';
import { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import type {
  Assignment,
  CommandResult,
  EntityStamp,
  NodeMirror,
  Outcome,
  PoolCommand,
  ReportItem,
  ReportVerdict,
  TaskAddResult,
} from '../../../src/model/commands.ts';
import type { JobSpec } from '../../../src/model/job.ts';
import type { PoolSpec } from '../../../src/model/pool.ts';
import type {
  Explanation,
  JobEntity,
  NodeEntity,
  Page,
  PageRequest,
  PoolQueries,
  TaskEntity,
} from '../../../src/model/queries.ts';
import type { TaskOutcome, TaskSpec } from '../../../src/model/task.ts';

export const POOL_ID = 'Fleet';

export class MemoryRows implements RowReader {
  readonly rows = new Map<string, Uint8Array>();

  write(writes: readonly RowWrite[]): void {
    for (const write of writes) {
      if (write.kind === 'put') this.rows.set(write.key, Uint8Array.from(write.value));
      else if (write.kind === 'delete') this.rows.delete(write.key);
      else for (const key of [...this.rows.keys()]) if (key.startsWith(write.prefix)) this.rows.delete(key);
    }
  }

  sorted(): [string, Uint8Array][] {
    return [...this.rows].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.rows.get(key));
  }

  getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.rows.get(key)));
  }

  async *scan({
    prefix,
    after = '',
    limit = Number.POSITIVE_INFINITY,
  }: {
    prefix: string;
    after?: string;
    limit?: number;
  }) {
    let left = limit;
    for (const [key, value] of this.sorted()) {
      if (!key.startsWith(prefix) || key <= after) continue;
      if (left-- <= 0) return;
      yield [key, value] as const;
    }
  }
}

export function newMachine(): PoolMachine {
  return new PoolMachine(POOL_ID);
}

export function restored(rows: MemoryRows): PoolMachine {
  const machine = newMachine();
  for (const [key, value] of rows.sorted()) machine.load(key, value);
  machine.loaded();
  return machine;
}

export class Harness {
  machine = newMachine();
  readonly store = new MemoryRows();
  index = 0;
  timeMs = 1_000_000;
  effects: PoolEffect[] = [];
  #meshIndex = 0;

  apply(...commands: PoolCommand[]): Applied<PoolEffect> {
    return this.applyRequests(...commands.map((command) => ({ requestId: null, command })));
  }

  applyRequests(
    ...commands: { readonly requestId: string | null; readonly command: PoolCommand }[]
  ): Applied<PoolEffect> {
    this.index += 1;
    const applied = this.machine.apply(this.index, { timeMs: this.timeMs, commands });
    this.store.write(applied.writes);
    this.effects.push(...applied.effects);
    this.machine.sanityCheck();
    return applied;
  }

  do<C extends PoolCommand>(command: C): CommandResult<C['kind']> {
    return this.apply(command).results[0] as CommandResult<C['kind']>;
  }

  /** Refuses to be refused. */
  ok<C extends PoolCommand>(command: C): void {
    expect(this.do(command)).toMatchObject({ ok: true });
  }

  refusal(command: PoolCommand): string {
    const outcome = this.do(command) as Outcome<unknown>;
    return outcome.ok ? 'accepted' : outcome.code;
  }

  /** A restart: memory goes, rows stay. */
  restart(): void {
    this.machine = restored(this.store);
    this.machine.sanityCheck();
  }

  tick(ms: number): void {
    this.timeMs += ms;
  }

  // --- Short forms ------------------------------------------------------------------------------------------------

  pool(
    spec: Partial<PoolSpec>,
    nodes: readonly (Partial<NodeMirror> & { node: string })[],
    more: { removed?: string[]; deleting?: boolean } = {},
  ): void {
    this.#meshIndex += 1;
    this.ok({
      kind: 'mirror',
      meshIndex: this.#meshIndex,
      pool: {
        id: POOL_ID,
        exists: true,
        deleting: more.deleting ?? false,
        spec: { id: POOL_ID, vmSize: 'machine', ...spec },
      },
      nodes: nodes.map((node) => aNode(node)),
      removed: more.removed ?? [],
    });
  }

  job(id: string, spec: Partial<JobSpec> = {}): EntityStamp {
    const outcome = this.do({ kind: 'job.add', spec: { id, poolInfo: { poolId: POOL_ID }, ...spec } });
    if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.message}`);
    return outcome.value;
  }

  add(job: string, ...tasks: (Partial<TaskSpec> & { id: string })[]): readonly TaskAddResult[] {
    const outcome = this.do({ kind: 'task.add', job, tasks: tasks.map(aTask) });
    if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.message}`);
    return outcome.value;
  }

  /** Adds one task and says how that went: `accepted` or the code. */
  addOutcome(job: string, task: Partial<TaskSpec> & { id: string }): string {
    const outcome = this.do({ kind: 'task.add', job, tasks: [aTask(task)] });
    if (!outcome.ok) return outcome.code;
    const one = outcome.value[0]?.outcome;
    return one === undefined ? 'missing' : one.ok ? 'accepted' : one.code;
  }

  place(limit = 1000): readonly Assignment[] {
    return this.machine.place({ limit });
  }

  /** Places once and assigns what was placed. */
  schedule(limit = 1000): readonly Assignment[] {
    const items = this.place(limit);
    if (items.length === 0) return [];
    const outcome = this.do({ kind: 'assign', items });
    expect(outcome).toMatchObject({ ok: true, value: { assigned: items } });
    return items;
  }

  report(node: string, ...items: ReportItem[]): readonly ReportVerdict[] {
    const outcome = this.do({ kind: 'report', node, items });
    return outcome.ok ? outcome.value : [];
  }

  execution(node: string, task: number, job = 1): { job: number; task: number; epoch: number } {
    for (const { job: j, task: t, epoch } of this.machine.executions(node)) {
      if (j === job && t === task) return { job, task, epoch };
    }
    throw new Error(`${node} does not hold ${job}/${task}`);
  }

  start(node: string, task: number, job = 1): void {
    expect(this.report(node, { ...this.execution(node, task, job), startedAtMs: this.timeMs })).toEqual([
      'recorded',
    ]);
  }

  end(node: string, task: number, outcome: Partial<TaskOutcome> = {}, job = 1): void {
    const item = {
      ...this.execution(node, task, job),
      outcome: anOutcome({ endedAtMs: this.timeMs, ...outcome }),
    };
    expect(this.report(node, item)).toEqual(['recorded']);
  }

  sweep(limit = 1000): void {
    for (let turns = 0; turns < 10_000; turns++) {
      const due = this.machine.dueAtMs();
      if (due === undefined || due > this.timeMs) return;
      this.ok({ kind: 'sweep', limit });
    }
    throw new Error('sweeps do not come to an end');
  }

  takeEffects(): PoolEffect[] {
    return this.effects.splice(0);
  }

  query<Q extends keyof PoolQueries>(name: Q, argument: PoolQueries[Q][0]): Promise<PoolQueries[Q][1]> {
    return this.machine.query(name, argument, this.store) as Promise<PoolQueries[Q][1]>;
  }

  getJob(job: string): Promise<JobEntity> {
    return this.query('job.get', { job });
  }

  getTask(job: string, task: string): Promise<TaskEntity> {
    return this.query('task.get', { job, task });
  }

  getNode(node: string): Promise<NodeEntity> {
    return this.query('node.get', { node });
  }

  explain(job: string, task: string): Promise<Explanation> {
    return this.query('task.explain', { job, task });
  }

  listTasks(job: string, request: Partial<PageRequest> = {}): Promise<Page<TaskEntity>> {
    return this.query('task.list', { job, limit: 1000, ...request });
  }

  async states(job: string): Promise<Record<string, string>> {
    const { items } = await this.listTasks(job);
    return Object.fromEntries(items.map(({ spec, state }) => [spec.id, state]));
  }
}

export function aTask(spec: Partial<TaskSpec> & { id: string }): TaskSpec {
  return { commandLine: '/bin/true', ...spec };
}

export function aNode(node: Partial<NodeMirror> & { node: string }): NodeMirror {
  return {
    machine: `peer-${node.node}/00000001`,
    cores: 2,
    memoryBytes: 2 ** 30,
    slots: 1,
    dedicated: true,
    labels: [],
    allottedAtMs: 1,
    ...node,
  };
}

export function anOutcome(outcome: Partial<TaskOutcome> = {}): TaskOutcome {
  const kind = outcome.kind ?? 'exited';
  return { kind, ...(kind === 'exited' ? { exitCode: 0 } : {}), endedAtMs: 1_000_000, files: [], ...outcome };
}

/** A harness with one pool of nodes `n1`, `n2`… of `slots` each, and a job `j`. */
export function withNodes(count: number, slots = 1, job: Partial<JobSpec> = {}): Harness {
  const harness = new Harness();
  harness.pool(
    { taskSlotsPerNode: slots },
    Array.from({ length: count }, (_, position) => ({ node: `n${position + 1}`, slots })),
  );
  harness.job('j', job);
  return harness;
}
