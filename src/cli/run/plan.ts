/** What a `shoal run` asks the mesh for: its job, its tasks, its containers. Computed without any IO. */
import { ShoalError } from '../../lib/errors.ts';
import { COMMAND_LINE_BYTES_MAX, RUN_INPUTS_LISTED_MAX } from '../../lib/limits.ts';
import { isValidContainerName } from '../../model/blob.ts';
import { joinCommandLine, quoteArgument, shellCommandLine } from '../../model/command-line.ts';
import type { JobSpec } from '../../model/job.ts';
import type { OutputFile, ResourceFile, TaskSpec } from '../../model/task.ts';
import type { Setting } from '../values.ts';
import type { InputFile } from './inputs.ts';
import type { Combinations } from './items.ts';
import { type Choice, expand, expandWords, usesItems } from './template.ts';

export interface RunWish {
  readonly job: string;
  readonly pool: string;
  /** Not empty. */
  readonly command: readonly string[];
  readonly combinations: Combinations;
  readonly shell: boolean;
  readonly slots?: number;
  readonly priority?: number;
  /** Its running tasks may be put back for a job of higher priority. */
  readonly preemptible?: boolean;
  /** Runs again of a task that exits with other than 0. */
  readonly retries?: number;
  /** Of one task, ISO 8601. */
  readonly timeout?: string;
  readonly env: readonly Setting[];
  /** Tasks at the same time. */
  readonly parallel?: number;
  /** Patterns, with placeholders. */
  readonly outputs: readonly string[];
}

export interface Inputs {
  /** Files that every task has. */
  readonly shared: readonly InputFile[];
  /** Files of one task beside those. */
  readonly own: (choice: Choice) => readonly InputFile[];
}

export class RunPlan {
  readonly wish: RunWish;
  readonly total: number;
  readonly inputContainer: string;
  /** Files of single tasks, apart from the shared ones, which tasks may take as a whole container. */
  readonly ownInputContainer: string;
  readonly outputContainer: string;
  readonly #words: readonly string[];
  readonly #idWidth: number;

  constructor(wish: RunWish) {
    this.wish = wish;
    this.total = wish.combinations.count;
    this.inputContainer = containerName(wish.job, 'in');
    this.ownInputContainer = containerName(wish.job, 'own');
    this.outputContainer = containerName(wish.job, 'out');
    this.#idWidth = Math.max(4, String(this.total).length);
    // As in GNU parallel: a command that does not say where its item goes has it at its end.
    const appended = wish.combinations.lists > 0 && !usesItems(wish.command);
    this.#words = appended ? [...wish.command, '{}'] : wish.command;
  }

  choice(index: number): Choice {
    return { items: this.wish.combinations.at(index), number: index + 1 };
  }

  /** Padded, so that ids sort in the order of the items. */
  taskId(index: number): string {
    return String(index + 1).padStart(this.#idWidth, '0');
  }

  jobSpec(): JobSpec {
    const { job, pool, parallel, env, retries, priority, preemptible } = this.wish;
    return {
      id: job,
      poolInfo: { poolId: pool },
      ...(priority === undefined ? {} : { priority }),
      ...(preemptible === true ? { allowTaskPreemption: true } : {}),
      ...(parallel === undefined ? {} : { maxParallelTasks: parallel }),
      ...(retries === undefined ? {} : { constraints: { maxTaskRetryCount: retries } }),
      ...(env.length === 0 ? {} : { commonEnvironmentSettings: [...env] }),
    };
  }

  *taskSpecs(inputs: Inputs): Generator<TaskSpec> {
    const shared = this.#sharedResources(inputs.shared);
    for (let index = 0; index < this.total; index++) yield this.#taskSpec(index, shared, inputs);
  }

  #taskSpec(index: number, shared: readonly ResourceFile[], inputs: Inputs): TaskSpec {
    const choice = this.choice(index);
    const own = inputs.own(choice).map((file) => resource(this.ownInputContainer, file));
    const outputFiles = this.wish.outputs.map((pattern) => this.#outputFile(pattern, choice));
    const { slots, timeout } = this.wish;
    return {
      id: this.taskId(index),
      commandLine: this.commandLine(choice),
      ...(shared.length + own.length === 0 ? {} : { resourceFiles: [...shared, ...own] }),
      ...(outputFiles.length === 0 ? {} : { outputFiles }),
      ...(slots === undefined ? {} : { requiredSlots: slots }),
      ...(timeout === undefined ? {} : { constraints: { maxWallClockTime: timeout } }),
    };
  }

  /** @throws ShoalError InvalidArgument if it is longer than a task may have. */
  commandLine(choice: Choice): string {
    const line = this.wish.shell
      ? shellCommandLine(this.#words.map((word) => expand(word, choice, quoteArgument)).join(' '))
      : joinCommandLine(expandWords(this.#words, choice));
    if (Buffer.byteLength(line) > COMMAND_LINE_BYTES_MAX) {
      throw new ShoalError(
        'InvalidArgument',
        `The command of item ${choice.number} has more than ${COMMAND_LINE_BYTES_MAX} bytes.`,
        { Argument: 'command' },
      );
    }
    return line;
  }

  #sharedResources(files: readonly InputFile[]): readonly ResourceFile[] {
    if (files.length > RUN_INPUTS_LISTED_MAX)
      return [{ storageContainerUrl: `mesh://${this.inputContainer}` }];
    return files.map((file) => resource(this.inputContainer, file));
  }

  /**
   * Outputs go to `<task id>/` in the job's container. Azure Batch takes `path` as the blob's whole name where the
   * pattern has no wildcard, and as a prefix where it has one.
   */
  #outputFile(pattern: string, choice: Choice): OutputFile {
    const filePattern = expand(pattern, choice, escapePattern);
    const prefix = this.taskId(choice.number - 1);
    const path = /[*?[]/.test(filePattern) ? prefix : `${prefix}/${filePattern.replace(/^(?:\.\/)+/, '')}`;
    return {
      filePattern,
      destination: { container: { containerUrl: `mesh://${this.outputContainer}`, path } },
      uploadOptions: { uploadCondition: 'tasksuccess' },
    };
  }
}

function resource(container: string, file: InputFile): ResourceFile {
  return { httpUrl: `mesh://${container}/${file.name}`, filePath: file.name };
}

/** An item is a name, not a pattern: what is special in it becomes a class of one character. */
function escapePattern(item: string): string {
  return item.replace(/[*?[]/g, '[$&]');
}

/**
 * `<job>-<suffix>` as a container may be called. Ids that need more than lower case for that get a mark of their own:
 * `a_b` and `a-b` are two jobs.
 */
export function containerName(job: string, suffix: 'in' | 'own' | 'out'): string {
  const lower = job.toLowerCase();
  const direct = `${lower}-${suffix}`;
  if (isValidContainerName(direct)) return direct;
  const mark = hash(lower).toString(36);
  const base = lower
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63 - suffix.length - mark.length - 2)
    .replace(/^-+|-+$/g, '');
  return [...(base === '' ? [] : [base]), mark, suffix].join('-');
}

/** FNV-1a, 32 bits: names apart, nothing secret. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  }
  return value >>> 0;
}

/** `run-20260131-4f9c2a1b`. */
export function generatedJobId(now: Date, random: string): string {
  return `run-${now.toISOString().slice(0, 10).replaceAll('-', '')}-${random}`;
}
