/**
 * The tasks of a chaos run, and what their executions did as the executions themselves saw it: outside the mesh, in a
 * directory of this machine, so that the records of the mesh can be held against it.
 *
 * Each execution takes a lock of its task and keeps it in every process it has. The kernel lets it go when the last of
 * them is dead, so one that finds the lock taken has proved that two executions of one task were alive at once.
 */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskSpec } from '../../src/model/task.ts';

/** What `flock` ends with where the lock is taken; killed at that moment it ends with something else. */
const LOCK_TAKEN = 75;

export interface Execution {
  readonly task: string;
  readonly epoch: number;
  starts: number;
  ends: number;
}

export interface Witnessed {
  /** By task, then by epoch. */
  readonly executions: ReadonlyMap<string, ReadonlyMap<number, Execution>>;
  /** Tasks of which two executions were alive at once. */
  readonly overlaps: readonly string[];
}

export class ExecutionWitness {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(directory: string, tasks: readonly string[]): Promise<ExecutionWitness> {
    const witness = new ExecutionWitness(directory);
    await mkdir(join(directory, 'locks'), { recursive: true });
    await writeFile(witness.#diary, '');
    // Tasks run as users of their nodes, who may write nothing else here.
    await chmod(witness.#diary, 0o666);
    await writeFile(witness.#script, script(directory));
    for (const task of tasks) await writeFile(join(directory, 'locks', task), '');
    return witness;
  }

  get #diary(): string {
    return join(this.#directory, 'diary');
  }

  get #script(): string {
    return join(this.#directory, 'task.sh');
  }

  task(id: string, seconds: number): TaskSpec {
    return { id, commandLine: `/bin/sh ${this.#script} ${seconds.toFixed(2)}` };
  }

  async read(): Promise<Witnessed> {
    const executions = new Map<string, Map<number, Execution>>();
    const overlaps: string[] = [];
    for (const line of (await readFile(this.#diary, 'utf8')).split('\n')) {
      const [what, task, epochText] = line.split(' ');
      if (task === undefined) continue;
      const epoch = Number(epochText);
      if (what === 'overlap') overlaps.push(`${task} at epoch ${epoch}`);
      const ofTask = executions.get(task) ?? new Map<number, Execution>();
      executions.set(task, ofTask);
      const execution = ofTask.get(epoch) ?? { task, epoch, starts: 0, ends: 0 };
      ofTask.set(epoch, execution);
      if (what === 'start') execution.starts += 1;
      if (what === 'end') execution.ends += 1;
    }
    return { executions, overlaps };
  }
}

/** Lines this short reach a file that is open for appending whole. */
function script(directory: string): string {
  return `exec 9<${directory}/locks/$AZ_BATCH_TASK_ID
what="$AZ_BATCH_TASK_ID \${SHOAL_EXECUTION##*/}"
flock -n -E ${LOCK_TAKEN} 9
[ $? = ${LOCK_TAKEN} ] && echo "overlap $what" >>${directory}/diary
echo "start $what" >>${directory}/diary
sleep $1
echo "end $what" >>${directory}/diary
`;
}
