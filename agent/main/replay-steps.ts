/** A replayed entry in words: one step for each thing it did. */
import { taskRowKey, unpack } from '../../coordinator/core/pool/rows.ts';
import type { ReplayedEntry } from '../../coordinator/driver/replay.ts';
import type { ReplayFlags, ReplayStep } from '../../src/cli/agent-commands.ts';
import type { Command, Outcome, ReportItem } from '../../src/model/commands.ts';
import { idKey } from '../../src/model/ids.ts';
import type { TaskOutcome } from '../../src/model/task.ts';

type Filter = Pick<ReplayFlags, 'job' | 'task'>;

/** What a step is about, as ids; undefined where it names none. */
interface Subject {
  readonly job?: string | undefined;
  readonly tasks?: readonly string[] | undefined;
}

interface Told extends Subject {
  readonly what: string;
  readonly result: string;
  readonly refused?: boolean;
  readonly data: unknown;
}

/** The steps that the filter lets through, in the order in which they happened. */
export function* stepsOf(entry: ReplayedEntry, filter: Filter): Generator<ReplayStep> {
  const { index, term } = entry.entry;
  const common = { group: entry.group, index, term, timeMs: entry.batch?.timeMs };
  const step = (kind: ReplayStep['kind'], { what, result, refused = false, data }: Told): ReplayStep => ({
    kind,
    ...common,
    what,
    result,
    refused,
    data: masked(data),
  });
  for (const problem of entry.problems)
    yield step('violation', { what: problem, result: 'violated', refused: true, data: { problem } });
  if (entry.batch === undefined) {
    if (!isFiltered(filter) && entry.entry.kind !== 'command')
      yield step('configuration', { what: configurationWords(entry), result: '', data: null });
    return;
  }
  const names = new Names(entry.row);
  for (const [position, { command, requestId }] of entry.batch.commands.entries())
    for (const told of tell(command, entry.applied?.results[position], names, entry.entry.index))
      if (concerns(told, filter))
        yield step('command', { ...told, data: { requestId, ...(told.data as object) } });
  for (const { job: number, task: position, epoch } of entry.requeued) {
    const [job, task] = [names.job(number), names.task(number, position)];
    const what = `task.requeued: ${job}/${task} waits to run again`;
    if (concerns({ job, tasks: [task] }, filter))
      yield step('event', {
        what,
        result: `epoch ${epoch} is over`,
        data: { kind: 'task.requeued', job, task, epoch },
      });
  }
  for (const { kind, message, data } of entry.applied?.events ?? []) {
    const subject = { job: text(data.job), tasks: data.task === undefined ? undefined : [String(data.task)] };
    if (concerns(subject, filter))
      yield step('event', { what: `${kind}: ${message}`, result: '', data: { kind, message, data } });
  }
}

function configurationWords({ entry }: ReplayedEntry): string {
  return entry.kind === 'noop'
    ? `a leader was elected in term ${entry.term}`
    : 'the voters of the group change';
}

function isFiltered({ job, task }: Filter): boolean {
  return job !== undefined || task !== undefined;
}

function concerns({ job, tasks }: Subject, filter: Filter): boolean {
  if (filter.job !== undefined && (job === undefined || idKey(job) !== idKey(filter.job))) return false;
  const { task } = filter;
  return task === undefined || tasks?.some((one) => idKey(one) === idKey(task)) === true;
}

// --- Names ----------------------------------------------------------------------------------------------------------

/** Commands name jobs and tasks by number; the rows of the state know their ids, as long as they are there. */
class Names {
  readonly #row: ReplayedEntry['row'];

  constructor(row: ReplayedEntry['row']) {
    this.#row = row;
  }

  job(number: number): string {
    return this.#idIn(`j/${number.toString(16).padStart(8, '0')}`) ?? `job ${number}`;
  }

  task(job: number, task: number): string {
    return this.#idIn(taskRowKey(job, task)) ?? `task ${task}`;
  }

  #idIn(key: string): string | undefined {
    const row = this.#row(key);
    return row === undefined ? undefined : text((unpack(row) as { readonly id?: unknown }).id);
  }
}

// --- Commands -------------------------------------------------------------------------------------------------------

/** Assignments and reports are told one by one; every other command is one step. */
function* tell(
  command: Command,
  outcome: Outcome<unknown> | undefined,
  names: Names,
  epoch: number,
): Generator<Told> {
  if (outcome?.ok === false || outcome === undefined) {
    yield { ...subjectOf(command), what: words(command), ...answer(outcome), data: { command, outcome } };
    return;
  }
  switch (command.kind) {
    case 'assign': {
      const { assigned } = outcome.value as { readonly assigned: readonly (typeof command.items)[number][] };
      const taken = new Set(assigned.map(({ job, task, node }) => `${job}/${task}/${node}`));
      for (const item of command.items) {
        const [job, task] = [names.job(item.job), names.task(item.job, item.task)];
        const fits = taken.has(`${item.job}/${item.task}/${item.node}`);
        const result = fits ? `epoch ${epoch}` : 'left out';
        yield {
          what: `assign ${job}/${task} to ${item.node}`,
          result,
          job,
          tasks: [task],
          data: { item, result },
        };
      }
      return;
    }
    case 'report': {
      const verdicts = outcome.value as readonly string[];
      for (const [position, item] of command.items.entries()) {
        const [job, task] = [names.job(item.job), names.task(item.job, item.task)];
        const what = `report ${job}/${task} epoch ${item.epoch} from ${command.node}: ${reportWords(item)}`;
        const result = verdicts[position] ?? 'stale';
        yield { what, result, job, tasks: [task], data: { node: command.node, item, result } };
      }
      return;
    }
    default:
      yield { ...subjectOf(command), what: words(command), ...answer(outcome), data: { command, outcome } };
  }
}

function reportWords({ outcome }: ReportItem): string {
  return outcome === undefined ? 'started' : endWords(outcome);
}

function endWords({ kind, exitCode, failure }: TaskOutcome): string {
  const code = exitCode === undefined ? '' : ` with ${exitCode}`;
  return `${kind}${code}${failure === undefined ? '' : ` (${failure.code})`}`;
}

function answer(outcome: Outcome<unknown> | undefined): { result: string; refused: boolean } {
  if (outcome === undefined) return { result: 'not applied', refused: true };
  if (!outcome.ok) return { result: outcome.code, refused: true };
  if (!Array.isArray(outcome.value)) return { result: 'done', refused: false };
  const refused = outcome.value.filter(isRefused).length;
  const result = refused === 0 ? 'done' : `${refused} of ${outcome.value.length} refused`;
  return { result, refused: refused > 0 };
}

/** Of a `TaskAddResult`. */
function isRefused(part: unknown): boolean {
  return (
    typeof part === 'object' &&
    part !== null &&
    'outcome' in part &&
    (part.outcome as Outcome<unknown>).ok === false
  );
}

function subjectOf(command: Command): Subject {
  if (command.kind === 'task.add') return { job: command.job, tasks: command.tasks.map(({ id }) => id) };
  if (command.kind === 'job.add') return { job: command.spec.id };
  const { job, task } = command as { readonly job?: unknown; readonly task?: unknown };
  const id = text(task);
  return { job: text(job), tasks: id === undefined ? undefined : [id] };
}

/** `pool.resize pool=render`: the kind, and what it says in plain values. Knows no kind, so that it need learn none. */
function words(command: Command): string {
  const said = Object.entries(command).flatMap(([name, value]) => {
    if (name === 'kind') return [];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      return [`${name}=${value}`];
    if (Array.isArray(value)) return value.length === 0 ? [] : [`${name}=${listWords(value)}`];
    const id = value === null || value === undefined ? undefined : nameOf(value);
    return id === undefined ? [] : [`${name}=${id}`];
  });
  return [command.kind, ...said].join(' ');
}

const NAMES_SHOWN = 3;

function listWords(values: readonly unknown[]): string {
  const named = values.map((value) => text(value) ?? nameOf(value)).filter((name) => name !== undefined);
  if (named.length < values.length) return String(values.length);
  const more = named.length > NAMES_SHOWN ? `,… (${named.length})` : '';
  return named.slice(0, NAMES_SHOWN).join(',') + more;
}

function nameOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, name, node, pool } = value as Readonly<Record<string, unknown>>;
  return text(name) ?? text(node) ?? text(id) ?? text(pool);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

// --- Secrets --------------------------------------------------------------------------------------------------------

/** The mesh's key and the values of environment variables: a timeline is made to be shown to others. */
function masked(value: unknown): unknown {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key === 'accountKey') return [key, MASK];
      return [
        key,
        /environment/i.test(key) && Array.isArray(inner) ? inner.map(maskedVariable) : masked(inner),
      ];
    }),
  );
}

const MASK = '(masked)';

function maskedVariable(variable: unknown): unknown {
  const { name } = variable as { readonly name?: unknown };
  return { name, value: MASK };
}
