/**
 * The replicated state machine of a pool's group: jobs, tasks, dependencies, assignments, nodes. It only routes; each
 * aggregate has a file of its own.
 */

import { assertNever } from '../../../src/lib/assert.ts';
import { AUTOSCALE_IDLE_NODES_MAX } from '../../../src/lib/limits.ts';
import type { AutoScaleEvaluation, AutoScaleQuestion } from '../../../src/model/autoscale.ts';
import type {
  Assignment,
  CommandBatch,
  Outcome,
  PoolCommand,
  Preemption,
} from '../../../src/model/commands.ts';
import type { ExecutionId } from '../../../src/model/execution.ts';
import { compileFilter as compileOData, type Filter } from '../../../src/model/filter.ts';
import type { NodeFault } from '../../../src/model/machine.ts';
import { PREPARATION_ID, type Subtask } from '../../../src/model/node-task.ts';
import type { NodeState } from '../../../src/model/states.ts';
import type { TaskConstraints } from '../../../src/model/task.ts';
import type { LoadHistory } from '../../autoscale/loads.ts';
import type { Sample } from '../../autoscale/variables.ts';
import { type PassedOver, placeTasks } from '../../placement/tasks.ts';
import type { Applied, PoolEffect, RowReader, StateMachine } from '../interface.ts';
import { refuse } from '../refusal.ts';
import { assignTasks } from './assignment.ts';
import { attend } from './attend.ts';
import {
  addJob,
  deleteJobCommand,
  disableJobCommand,
  enableJobCommand,
  patchJob,
  terminateJobCommand,
  updateJob,
} from './job.ts';
import type { Job } from './job-record.ts';
import { evaluateAutoScale, measure, takeSample } from './metrics.ts';
import { hearNode, loseNode, mirrorPool, restartNode, scheduleNode } from './node.ts';
import { ascending, jobOf, taskOf } from './numbers.ts';
import { PoolPlacementView } from './placement-view.ts';
import { preemptionsIn, preemptTasks } from './preemption.ts';
import { answerQuery, type CompileFilter } from './queries.ts';
import { recordReport } from './report.ts';
import { Restorer } from './restore.ts';
import { checkState } from './sanity.ts';
import { commandFault } from './shape.ts';
import { dueAtMs, sweep } from './sweep.ts';
import { addTasks, deleteTaskCommand, reactivateTaskCommand, terminateTask, updateTask } from './task.ts';
import { Intent } from './task-table.ts';
import { isErasable, isReleasable, PoolState, Turn } from './turn.ts';

/** What an agent must know of a job to run its tasks. */
export interface DispatchedJob {
  readonly number: number;
  readonly id: string;
  readonly priority: number;
  readonly environment: Job['environment'];
  readonly onNodeCutOff: 'stop' | 'keep';
  /** Id of its preparation task, if it has one. */
  readonly preparation?: string;
}

/** What a coordinator asks of a node with each heartbeat and each task: the record itself, so that it costs nothing. */
export interface HostedNode {
  readonly machine: string;
  readonly cores: number;
  readonly state: NodeState;
  readonly fault: NodeFault | undefined;
  /** The boot of its machine that is known. */
  readonly boot: number | undefined;
}

export class PoolMachine implements StateMachine<PoolEffect> {
  readonly #state: PoolState;
  #restorer: Restorer | undefined;
  readonly #passedOver: PassedOver = new Map();

  readonly #compileFilter: CompileFilter;

  /** `compileFilter`: the language of list filters. */
  constructor(
    poolId: string,
    { compileFilter = odataFilter }: { readonly compileFilter?: CompileFilter } = {},
  ) {
    this.#state = new PoolState(poolId);
    this.#compileFilter = compileFilter;
  }

  // --- The state machine ------------------------------------------------------------------------------------------

  load(key: string, value: Uint8Array): void {
    this.#restorer ??= new Restorer(this.#state);
    this.#restorer.load(key, value);
  }

  loaded(): void {
    this.#restorer?.finish();
    this.#restorer = undefined;
  }

  apply(index: number, batch: CommandBatch): Applied<PoolEffect> {
    const beforeMs = this.#state.timeMs;
    const turn = new Turn(this.#state, index, batch.timeMs);
    takeSample(turn, beforeMs);
    const results = batch.commands.map(({ requestId, command }) =>
      this.#answer(turn, requestId, command as PoolCommand),
    );
    attend(turn);
    turn.finish();
    return { results, writes: turn.writes, events: turn.events, effects: turn.effects };
  }

  /** A request that was answered before is answered the same and does nothing; a refusal is an answer too. */
  #answer(turn: Turn, requestId: string | null, command: PoolCommand): Outcome<unknown> {
    const fault = commandFault(command);
    if (fault !== undefined) return refuse('InvalidRequestBody', `The command is not valid: ${fault}.`);
    if (requestId === null) return execute(turn, command);
    const { requests } = this.#state;
    const known = requests.find(requestId, command);
    if (known !== undefined) return known;
    const outcome = execute(turn, command);
    requests.remember(requestId, command, outcome, turn);
    return outcome;
  }

  query(name: string, argument: unknown, rows: RowReader): Promise<unknown> {
    return answerQuery({ state: this.#state, rows, compileFilter: this.#compileFilter }, name, argument);
  }

  dueAtMs(): number | undefined {
    return dueAtMs(this.#state);
  }

  /** The group's own time: of the newest entry, and never behind an older one, whosever clock they were. */
  timeMs(): number {
    return this.#state.timeMs;
  }

  // --- For the leader's driver ------------------------------------------------------------------------------------

  /** Proposes at most `limit` assignments on the state as it is. Changes nothing of it: asked twice, it answers the same. */
  place({ limit }: { readonly limit: number }): readonly Assignment[] {
    const view = new PoolPlacementView(this.#state);
    if (!view.hasJobs) return [];
    const { assignments } = placeTasks(view, limit, this.#passedOver);
    view.giveBack();
    return assignments;
  }

  /** Proposes what should make room for jobs of greater priority. Changes nothing. */
  preemptions({ limit }: { readonly limit: number }): readonly Preemption[] {
    return preemptionsIn(this.#state, limit);
  }

  /** What a formula would do with the pool as it is. */
  /** The load of machines, for whoever coordinates the pool. */
  get loads(): LoadHistory {
    return this.#state.loads;
  }

  evaluateAutoScale(question: AutoScaleQuestion): AutoScaleEvaluation {
    return evaluateAutoScale(this.#state, question);
  }

  /** Nodes to which nothing is assigned, as many as one run may name. */
  idleNodes(): readonly string[] {
    return this.#state.nodes
      .sorted()
      .filter((node) => node.executions.size === 0 && node.leaving === undefined)
      .slice(0, AUTOSCALE_IDLE_NODES_MAX)
      .map(({ id }) => id);
  }

  /** Present counts of the pool. */
  metrics(): Sample {
    return measure(this.#state);
  }

  /** What a node should run, waiting executions included; `stop` where it is to be ended. */
  *executions(node: string): Iterable<ExecutionId & { readonly stop: boolean }> {
    for (const packed of ascending(this.#state.nodes.get(node)?.executions ?? [])) {
      const job = jobOf(packed);
      const task = taskOf(packed);
      const { table, nodeTasks } = this.#state.jobs.get(job) ?? {};
      // Its agent does not know of what is held.
      if (table === undefined || nodeTasks?.isHeld(table.node(task), task) === true) continue;
      yield { job, task, epoch: table.epoch(task), stop: table.intent(task) !== Intent.none };
    }
  }

  /** Digest of `executions(node)`; 0 for a node that is not there. See src/model/execution.ts. */
  digest(node: string): number {
    return this.#state.nodes.get(node)?.digest ?? 0;
  }

  hasStops(node: string): boolean {
    return (this.#state.nodes.get(node)?.stops ?? 0) > 0;
  }

  *nodeIds(): Iterable<string> {
    for (const { id } of this.#state.nodes.sorted()) yield id;
  }

  /** Nodes that the machine hosts in this pool. */
  nodesOf(machine: string): readonly string[] {
    return this.#state.nodes.onMachine(machine).map(({ id }) => id);
  }

  /** As it is now: look again after the next entry. */
  node(id: string): HostedNode | undefined {
    return this.#state.nodes.get(id);
  }

  /** A leaving node to which nothing is assigned any more. */
  isReleasable(id: string): boolean {
    const node = this.#state.nodes.get(id);
    return node !== undefined && isReleasable(node);
  }

  /** The pool is deleting and holds no node. Its jobs stay, and wait for a pool of its name. */
  isErasable(): boolean {
    return isErasable(this.#state);
  }

  dispatchJob(number: number): DispatchedJob | undefined {
    const job = this.#state.jobs.get(number);
    if (job === undefined) return undefined;
    return {
      number,
      id: job.id,
      priority: job.priority,
      environment: job.environment,
      onNodeCutOff: job.onNodeCutOff,
      ...(job.preparation === undefined ? {} : { preparation: job.preparation.id ?? PREPARATION_ID }),
    };
  }

  /**
   * Where the task is one of several instances, or one of those: its place among them. Of the primary that of its own
   * subtask on the same node.
   */
  gangOf(job: number, task: number): Subtask | undefined {
    const { gangs, nodeTasks } = this.#state.jobs.get(job) ?? {};
    if (gangs === undefined || nodeTasks === undefined || gangs.size === 0) return undefined;
    const first = gangs.has(task) ? nodeTasks.subtasksOf(task)[0] : task;
    return first === undefined ? undefined : nodeTasks.get(first)?.gang;
  }

  /** The task's constraints where they were updated since it was added; they take the place of those in its row. */
  updatedConstraints(job: number, task: number): TaskConstraints | undefined {
    return this.#state.jobs.get(job)?.updatedConstraints.get(task);
  }

  /** Live executions of the whole pool. */
  countOutstanding(): number {
    let count = 0;
    for (const { executions } of this.#state.nodes.all()) count += executions.size;
    return count;
  }

  /** Throws where an invariant does not hold. Walks everything: for tests and the simulator. */
  sanityCheck(): void {
    checkState(this.#state);
  }
}

function execute(turn: Turn, command: PoolCommand): Outcome<unknown> {
  switch (command.kind) {
    case 'mirror':
      return mirrorPool(turn, command);
    case 'job.add':
      return addJob(turn, command);
    case 'job.patch':
      return patchJob(turn, command);
    case 'job.update':
      return updateJob(turn, command);
    case 'job.disable':
      return disableJobCommand(turn, command);
    case 'job.enable':
      return enableJobCommand(turn, command);
    case 'job.terminate':
      return terminateJobCommand(turn, command);
    case 'job.delete':
      return deleteJobCommand(turn, command);
    case 'task.add':
      return addTasks(turn, command);
    case 'task.update':
      return updateTask(turn, command);
    case 'task.terminate':
      return terminateTask(turn, command);
    case 'task.delete':
      return deleteTaskCommand(turn, command);
    case 'task.reactivate':
      return reactivateTaskCommand(turn, command);
    case 'assign':
      return assignTasks(turn, command);
    case 'preempt':
      return preemptTasks(turn, command);
    case 'report':
      return recordReport(turn, command);
    case 'node.lost':
      return loseNode(turn, command);
    case 'node.heard':
      return hearNode(turn, command);
    case 'node.restart':
      return restartNode(turn, command);
    case 'node.scheduling':
      return scheduleNode(turn, command);
    case 'sweep':
      return sweep(turn, command);
    default:
      return assertNever(command);
  }
}

const odataFilter: CompileFilter = (kind, text) => compileOData(kind, text) as Filter<unknown>;
