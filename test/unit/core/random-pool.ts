/** Random but seeded commands for a pool: what clients, agents, the mesh and a faulty scheduler may send. */
import type { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import { Prng } from '../../../src/lib/prng.ts';
import type { NodeMirror, PoolCommand, ReportItem } from '../../../src/model/commands.ts';
import type { JobPatch, JobSpec } from '../../../src/model/job.ts';
import type { StartTask } from '../../../src/model/node-task.ts';
import type { ExitConditions, ExitOptions, TaskOutcome, TaskSpec } from '../../../src/model/task.ts';
import { aNode, anOutcome, aTask, POOL_ID } from './pool-harness.ts';

const NODE_IDS = ['n1', 'n2', 'n3', 'n4'];
const JOB_IDS = ['alpha', 'beta', 'gamma'];
/** Tasks that others depend on, and that clients meddle with, are among the first. */
const TASK_IDS = [
  ...Array.from({ length: 10 }, (_, n) => String(n)),
  '04',
  'Setup',
  'merge',
  'report',
  'x-1',
];
const MORE_TASK_IDS = [...TASK_IDS, ...Array.from({ length: 60 }, (_, n) => `work-${n}`)];
const LABELS = ['gpu', 'ssd'];

export class RandomPool {
  readonly random: Prng;
  readonly #machine: () => PoolMachine;
  #meshIndex = 0;
  #mirrored = new Map<string, NodeMirror>();

  constructor(seed: number, machine: () => PoolMachine) {
    this.random = new Prng(seed);
    this.#machine = machine;
  }

  next(): PoolCommand {
    const draw = this.random.next();
    if (draw < 0.05) return this.#mirror();
    if (draw < 0.13) return this.#jobCommand();
    if (draw < 0.27) return this.#addTasks();
    if (draw < 0.34) return this.#taskCommand();
    if (draw < 0.6) return this.#assign();
    if (draw < 0.86) return this.#report();
    if (draw < 0.94) return this.#nodeCommand();
    return { kind: 'sweep', limit: this.random.int(1, 5) };
  }

  #maybe<T>(probability: number, value: () => T): T | undefined {
    return this.random.chance(probability) ? value() : undefined;
  }

  /** Multi-instance tasks need nodes of one slot each. */
  #hasGangs = false;
  #startTask: StartTask | undefined;

  #mirror(): PoolCommand {
    if (this.random.chance(0.2)) this.#hasGangs = this.random.chance(0.6);
    if (this.random.chance(0.3))
      this.#startTask = this.#maybe(0.7, () => ({
        commandLine: '/bin/start',
        ...(this.random.chance(0.5) ? { maxTaskRetryCount: this.random.int(0, 2) } : {}),
        ...(this.random.chance(0.2) ? { waitForSuccess: false } : {}),
      }));
    this.#meshIndex += this.random.chance(0.9) ? 1 : -1;
    const removed: string[] = [];
    for (const node of NODE_IDS) {
      const known = this.#mirrored.get(node);
      const draw = this.random.next();
      if (known === undefined) {
        if (draw < 0.7) this.#mirrored.set(node, this.#newNode(node));
      } else if (draw < 0.12 || known.leaving !== undefined) {
        this.#mirrored.delete(node);
        removed.push(node);
      } else if (draw < 0.22) {
        this.#mirrored.set(node, { ...known, leaving: this.#leaving() });
      }
    }
    const pool = {
      id: POOL_ID,
      exists: this.random.chance(0.9),
      deleting: this.random.chance(0.1),
      spec: {
        id: POOL_ID,
        vmSize: 'machine',
        ...(this.#hasGangs
          ? { taskSlotsPerNode: 1, enableInterNodeCommunication: true }
          : { taskSlotsPerNode: 4 }),
        ...(this.#startTask === undefined ? {} : { startTask: this.#startTask }),
        taskSchedulingPolicy: { nodeFillType: this.random.pick(['spread', 'pack'] as const) },
      },
    };
    return {
      kind: 'mirror',
      meshIndex: Math.max(0, this.#meshIndex),
      pool,
      nodes: [...this.#mirrored.values()],
      removed,
    };
  }

  #newNode(node: string): NodeMirror {
    const labels = LABELS.filter(() => this.random.chance(0.6));
    return aNode({
      node,
      slots: this.#hasGangs ? 1 : this.random.int(1, 4),
      labels,
      machine: `peer-${node}/${this.random.int(1, 2)}`,
      dedicated: this.random.chance(0.6),
    });
  }

  #leaving(): NonNullable<NodeMirror['leaving']> {
    return {
      option: this.random.pick(['requeue', 'terminate', 'taskcompletion', 'retaineddata'] as const),
      reason: this.random.pick(['resize', 'preempted', 'drain', 'poolDeleted'] as const),
    };
  }

  #jobCommand(): PoolCommand {
    const job = this.random.pick(JOB_IDS);
    const draw = this.random.int(0, 39);
    if (draw < 18) return this.#addJob(job);
    if (draw < 23) return { kind: 'job.patch', job, patch: this.#jobChange(0.1) };
    if (draw < 25) {
      return { kind: 'job.update', job, update: { poolInfo: { poolId: POOL_ID }, ...this.#jobChange(0.1) } };
    }
    if (draw < 28) {
      return {
        kind: 'job.disable',
        job,
        disableTasks: this.random.pick(['requeue', 'terminate', 'wait'] as const),
      };
    }
    if (draw < 32) return { kind: 'job.enable', job };
    if (draw < 36) return { kind: 'job.terminate', job, reason: this.random.pick(['', 'enough']) };
    return { kind: 'job.delete', job };
  }

  #addJob(job: string): PoolCommand {
    const spec = {
      id: job,
      poolInfo: { poolId: POOL_ID },
      usesTaskDependencies: this.random.chance(0.8),
      ...this.#jobChange(0.05),
      ...this.#errands(),
    };
    if (this.random.chance(0.8)) return { kind: 'job.add', spec };
    return { kind: 'job.add', spec: { ...spec, onTaskFailure: 'performexitoptionsjobaction' } };
  }

  /** What a job may have beside its tasks. */
  #errands(): Partial<JobSpec> {
    if (this.random.chance(0.5)) return {};
    const preparation = {
      commandLine: '/bin/prepare',
      ...(this.random.chance(0.5) ? { constraints: { maxTaskRetryCount: this.random.int(0, 2) } } : {}),
      ...(this.random.chance(0.2) ? { waitForSuccess: false } : {}),
      ...(this.random.chance(0.3) ? { rerunOnNodeRebootAfterSuccess: false } : {}),
    };
    return {
      jobPreparationTask: preparation,
      ...(this.random.chance(0.9) ? { jobReleaseTask: { commandLine: '/bin/release' } } : {}),
      ...(this.random.chance(0.3)
        ? {
            jobManagerTask: {
              id: 'Setup',
              commandLine: '/bin/manage',
              ...(this.random.chance(0.5) ? { runExclusive: false } : {}),
              ...(this.random.chance(0.5) ? { killJobOnCompletion: false } : {}),
              ...(this.random.chance(0.3) ? { allowLowPriorityNode: false } : {}),
            },
          }
        : {}),
    };
  }

  #jobChange(endingProbability: number): JobPatch {
    const change: { -readonly [K in keyof JobPatch]: JobPatch[K] } = {};
    if (this.random.chance(0.4)) change.priority = this.random.int(-2, 2);
    if (this.random.chance(0.3)) change.allowTaskPreemption = this.random.chance(0.7);
    if (this.random.chance(0.3)) change.maxParallelTasks = this.random.pick([-1, 1, 2]);
    if (this.random.chance(endingProbability))
      change.onAllTasksComplete = this.random.pick(['noaction', 'terminatejob'] as const);
    if (this.random.chance(0.2))
      change.constraints = {
        maxTaskRetryCount: this.random.int(-1, 2),
        ...(this.random.chance(0.1) ? { maxWallClockTime: 'PT30S' } : {}),
      };
    if (this.random.chance(0.2)) change.metadata = [{ name: 'round', value: String(this.random.int(0, 99)) }];
    return change;
  }

  #addTasks(): PoolCommand {
    return {
      kind: 'task.add',
      job: this.random.pick(JOB_IDS),
      tasks: Array.from({ length: this.random.int(1, 5) }, () => this.#task()),
    };
  }

  #task(): TaskSpec {
    const id = this.random.pick(this.random.chance(0.5) ? TASK_IDS : MORE_TASK_IDS);
    const dependsOn = this.#maybe(0.25, () => ({
      ...(this.random.chance(0.7)
        ? { taskIds: Array.from({ length: this.random.int(1, 3) }, () => this.random.pick(TASK_IDS)) }
        : {}),
      ...(this.random.chance(0.4) ? { taskIdRanges: [this.#range()] } : {}),
    }));
    const exitConditions = this.#maybe(0.4, () => this.#exitConditions());
    const constraints = this.#maybe(0.3, () => ({ maxTaskRetryCount: this.random.int(-1, 2) }));
    const requiredLabels = this.#maybe(0.15, () => [this.random.pick(LABELS)]);
    const affinity = this.#maybe(0.2, () => ({ affinityId: this.random.pick([...NODE_IDS, ...TASK_IDS]) }));
    return aTask({
      id,
      ...(dependsOn === undefined ? {} : { dependsOn }),
      ...(exitConditions === undefined ? {} : { exitConditions }),
      ...(constraints === undefined ? {} : { constraints }),
      ...(requiredLabels === undefined ? {} : { requiredLabels }),
      ...(affinity === undefined ? {} : { affinityInfo: affinity }),
      ...(this.random.chance(0.2) ? { requiredSlots: this.random.int(1, 5) } : {}),
      ...(this.#hasGangs && this.random.chance(0.3)
        ? {
            multiInstanceSettings: {
              ...(this.random.chance(0.9) ? { numberOfInstances: this.random.int(1, 3) } : {}),
              coordinationCommandLine: '/bin/coordinate',
            },
          }
        : {}),
    });
  }

  #range(): { start: number; end: number } {
    const start = this.random.int(0, 8);
    return { start, end: start + this.random.int(0, 3) };
  }

  #exitConditions(): ExitConditions {
    const options = (): ExitOptions => ({
      ...(this.random.chance(0.1)
        ? { jobAction: this.random.pick(['none', 'disable', 'terminate'] as const) }
        : {}),
      ...(this.random.chance(0.8)
        ? { dependencyAction: this.random.pick(['satisfy', 'block', 'cancel'] as const) }
        : {}),
    });
    return {
      ...(this.random.chance(0.4)
        ? { exitCodes: [{ code: this.random.int(0, 2), exitOptions: options() }] }
        : {}),
      ...(this.random.chance(0.3) ? { exitCodeRanges: [{ start: 1, end: 9, exitOptions: options() }] } : {}),
      ...(this.random.chance(0.3) ? { preProcessingError: options() } : {}),
      ...(this.random.chance(0.3) ? { fileUploadError: options() } : {}),
      ...(this.random.chance(0.6) ? { default: options() } : {}),
    };
  }

  #taskCommand(): PoolCommand {
    const target = { job: this.random.pick(JOB_IDS), task: this.random.pick(TASK_IDS) };
    switch (this.random.int(0, 5)) {
      case 0:
        return { kind: 'task.update', ...target, constraints: { maxTaskRetryCount: this.random.int(-1, 3) } };
      case 1:
        return { kind: 'task.terminate', ...target };
      case 2:
      case 3:
        return { kind: 'task.delete', ...target };
      default:
        return { kind: 'task.reactivate', ...target };
    }
  }

  #assign(): PoolCommand {
    const preemptions = this.random.chance(0.3) ? this.#machine().preemptions({ limit: 4 }) : [];
    if (preemptions.length > 0) return { kind: 'preempt', items: preemptions };
    if (this.random.chance(0.8))
      return { kind: 'assign', items: this.#machine().place({ limit: this.random.int(1, 20) }) };
    const items = Array.from({ length: 4 }, () => ({
      job: this.random.int(1, 6),
      task: this.random.int(1, 30),
      node: this.random.pick(NODE_IDS),
      ...(this.random.chance(0.3) ? { others: [this.random.pick(NODE_IDS)] } : {}),
    }));
    return { kind: 'assign', items };
  }

  #report(): PoolCommand {
    const node = this.random.pick(NODE_IDS);
    const items: ReportItem[] = [];
    for (const { job, task, epoch, stop } of this.#machine().executions(node)) {
      if (this.random.chance(0.5))
        items.push({
          ...{ job, task, epoch, startedAtMs: 1000 },
          ...(this.random.chance(0.5) ? { coordinated: true } : {}),
        });
      else if (this.random.chance(0.7))
        items.push({ job, task, epoch, startedAtMs: 1000, outcome: this.#outcome(stop) });
      if (this.random.chance(0.1)) items.push({ job, task, epoch: epoch - 1, outcome: this.#outcome(stop) });
    }
    if (this.random.chance(0.1))
      items.push({
        job: this.random.int(0, 5),
        task: this.random.int(0, 9),
        epoch: this.random.int(0, 99),
        outcome: this.#outcome(false),
      });
    return { kind: 'report', node, items };
  }

  #outcome(stop: boolean): TaskOutcome {
    if (stop && this.random.chance(0.7)) return anOutcome({ kind: 'killed' });
    const kind = this.random.pick([
      'exited',
      'exited',
      'exited',
      'exited',
      'exited',
      'exited',
      'exited',
      'preProcessingError',
      'fileUploadError',
      'wallClock',
      'lost',
    ] as const);
    if (kind === 'exited') return anOutcome({ kind, exitCode: this.random.pick([0, 0, 0, 0, 1, 2, 7]) });
    return anOutcome({ kind, ...(this.random.chance(0.5) ? { exitCode: 1 } : {}) });
  }

  readonly #boots = new Map<string, number>();

  #nodeCommand(): PoolCommand {
    const node = this.random.pick(NODE_IDS);
    const draw = this.random.int(0, 9);
    if (draw < 1) return { kind: 'node.lost', node };
    if (draw < 6) {
      // A machine seldom boots, and says so each time it is heard; what it said earlier may come later.
      const boots = (this.#boots.get(node) ?? 1) + (this.random.chance(0.1) ? 1 : 0);
      this.#boots.set(node, boots);
      return {
        kind: 'node.heard',
        node,
        ...(this.random.chance(0.7) ? { boot: boots - this.random.int(0, 1) } : {}),
      };
    }
    if (draw < 7)
      return {
        kind: 'node.restart',
        node,
        how: this.random.pick(['reboot', 'reimage'] as const),
        option: this.random.pick(['requeue', 'terminate', 'taskcompletion', 'retaineddata'] as const),
      };
    const option = this.random.pick(['requeue', 'terminate', 'taskcompletion'] as const);
    return { kind: 'node.scheduling', node, enabled: this.random.chance(0.75), option };
  }
}
