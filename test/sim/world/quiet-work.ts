/**
 * Work in a mesh at rest, where it is known beforehand who may run what and in which order: nothing is on its way any
 * more, so what was answered holds everywhere soon. A machine is drained and another's node disabled (S13), tasks ask for
 * labels (S13) or for what nobody has (S9), of two
 * jobs the younger one has the greater priority (S15), and a job has a limit that its tasks outrun (S14).
 */
import { formatDuration } from '../../../src/lib/durations.ts';
import type { Prng } from '../../../src/lib/prng.ts';
import { type GroupId, MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import type { Explanation } from '../../../src/model/queries.ts';
import type { TaskSpec } from '../../../src/model/task.ts';
import type { Course } from './course.ts';
import { addJob } from './job-clients.ts';
import { newestBooks } from './newest-books.ts';
import type { Referee } from './referee.ts';
import type { Requests } from './requests.ts';
import { CALM_MS_MAX } from './rest.ts';
import type { SimMachine } from './sim-machine.ts';
import type { SimProcess } from './sim-runner.ts';
import { commandLineOf, SOUND } from './task-script.ts';

/** Until pools have heard what the mesh group was told, and nodes have come and gone for it. */
const HEARD_MS = 4_000;
/** Until the work that follows has found its places. */
const ANCHOR_MS = 2 * HEARD_MS;
const NODES_MAX = 1_000;
const TASK_MS = { low: 20, high: 400 } as const;
/** Several rounds of all slots. */
const URGENT_TASKS = 60;
const OTHER_TASKS = 15;
const LABELLED_TASKS = 20;
const JOB_LIMIT_MS = 2_000;
/** The world's time for a millisecond of the slowest machine. */
const SLOWEST = 1.05;
/** A group's time runs at half the pace where it was ahead. */
const JOB_OVER_MS = 2 * SLOWEST * JOB_LIMIT_MS;
/** For the sweep, and for a kill on its way. */
const JOB_ENDS_MS = 5_000;
/** More than a machine of a world has. */
const TOO_MANY_SLOTS = 200;
const POOL = 'default';
const GROUP: GroupId = poolGroup(POOL);

export interface QuietWorld {
  readonly course: Course;
  readonly requests: Requests;
  readonly random: Prng;
  readonly referee: Referee;
  /** Those that are members. */
  readonly machines: readonly SimMachine[];
}

export async function workQuietly(world: QuietWorld): Promise<void> {
  const { course, requests, referee } = world;
  const drained = world.random.pick(world.machines);
  const anchors = await ask(world, 'a long task for each node', addAnchors(world));
  await course.until({ rule: 'L2', what: 'every node has a task', boundMs: CALM_MS_MAX }, () =>
    anchors.every((task) => referee.processesAlive().some((process) => process.task === task)),
  );
  await ask(world, 'a drain', drain(world, drained, true));
  await course.runFor(HEARD_MS);
  // What left the drained machine may have taken the last room of this pool.
  const nodes = newestBooks(world.machines)?.allotments(POOL) ?? [];
  if (!nodes.some(({ machine, leaving }) => machine !== drained.id && leaving === undefined)) {
    await ask(world, 'an undrain', drain(world, drained, false));
    return;
  }
  referee.closed.add(drained.name);
  const disabled = await ask(world, 'a node that is disabled', disableNode(world, drained));
  await ask(world, 'hopeless tasks', addHopeless(world));
  await ask(world, 'the work', addWork(world, drained, disabled));
  const tasks = [...named('quiet-urgent', URGENT_TASKS), ...named('quiet-other', OTHER_TASKS)];
  const labelled = named('quiet-labels', LABELLED_TASKS);
  await course.until({ rule: 'L2', what: 'quiet work is done', boundMs: CALM_MS_MAX }, () =>
    [...tasks, ...labelled, ...anchors].every((task) => referee.exitCodes(task).includes(0)),
  );
  reviewOrder(referee);
  await ask(world, 'why tasks do not run', reviewHopeless(world));
  await outrunLimit(world);
  referee.closed.clear();
  await ask(world, 'an undrain', drain(world, drained, false));
  if (disabled !== undefined) await ask(world, 'a node that is enabled', schedule(requests, disabled, true));
  await course.until(
    { rule: 'L2', what: 'every request is answered', boundMs: CALM_MS_MAX },
    () => requests.isDone,
  );
}

function ask<T>({ course }: QuietWorld, what: string, work: Promise<T>): Promise<T> {
  return course.awaiting(what, CALM_MS_MAX, work);
}

async function drain({ requests }: QuietWorld, machine: SimMachine, draining: boolean): Promise<void> {
  const { ok } = await requests.command(MESH_GROUP, () => ({
    kind: 'machine.drain',
    machine: machine.id,
    draining,
  }));
  if (!ok) throw new Error(`${machine.name} could not be drained`);
}

async function schedule(requests: Requests, node: string, enabled: boolean): Promise<void> {
  const { ok } = await requests.command(GROUP, () => ({
    kind: 'node.scheduling',
    node,
    enabled,
    option: 'taskcompletion',
  }));
  if (!ok) throw new Error(`the node ${node} could not be disabled or enabled`);
}

/** One for each node, so that nodes which are called back stay for a while. Returns the names of the tasks. */
async function addAnchors({ requests }: QuietWorld): Promise<readonly string[]> {
  const { items } = await requests.query(GROUP, 'node.list', { limit: NODES_MAX });
  await addJob(requests, 'quiet-anchor', POOL);
  const commandLine = commandLineOf({ ...SOUND, durationMs: ANCHOR_MS });
  const tasks = ids(items.length).map((id) => ({ id, commandLine }));
  await addTasks(requests, 'quiet-anchor', tasks);
  return named('quiet-anchor', tasks.length);
}

/** One of several that are left; from the answer on it takes nothing. */
async function disableNode(
  { requests, random, referee }: QuietWorld,
  drained: SimMachine,
): Promise<string | undefined> {
  const { items } = await requests.query(GROUP, 'node.list', { limit: NODES_MAX });
  const nodes = items.filter(({ machine }) => machine !== drained.id);
  if (nodes.length < 3) return undefined;
  const { id } = random.pick(nodes);
  await schedule(requests, id, false);
  referee.closed.add(id);
  return id;
}

/** The younger job goes first: the tasks of the older one are added when all of its own were accepted. */
async function addWork(world: QuietWorld, drained: SimMachine, disabled: string | undefined): Promise<void> {
  const { requests, random, referee } = world;
  const task = (id: string): TaskSpec => ({
    id,
    commandLine: commandLineOf({ ...SOUND, durationMs: random.int(TASK_MS.low, TASK_MS.high) }),
  });
  await addJob(requests, 'quiet-other', POOL, { priority: random.int(-1_000, 0) });
  await addJob(requests, 'quiet-urgent', POOL, { priority: random.int(1, 1_000) });
  await addTasks(requests, 'quiet-urgent', ids(URGENT_TASKS).map(task));
  await addTasks(requests, 'quiet-other', ids(OTHER_TASKS).map(task));
  const { items } = await requests.query(GROUP, 'node.list', { limit: NODES_MAX });
  const open = items.filter(({ machine, id }) => machine !== drained.id && id !== disabled);
  const labels = [...new Set(open.flatMap((node) => node.labels))];
  await addJob(requests, 'quiet-labels', POOL);
  const labelled = ids(LABELLED_TASKS).map((id) => ({ ...task(id), requiredLabels: [random.pick(labels)] }));
  for (const { id, requiredLabels } of labelled)
    referee.labelsAsked.set(`quiet-labels/${id}`, requiredLabels);
  await addTasks(requests, 'quiet-labels', labelled);
}

async function addTasks(requests: Requests, job: string, tasks: readonly TaskSpec[]): Promise<void> {
  const answer = await requests.command(GROUP, () => ({ kind: 'task.add', job, tasks }));
  if (!answer.ok || answer.value.some(({ outcome }) => !outcome.ok))
    throw new Error(`tasks of ${job} were refused`);
}

/** S9: such a task says so at once, or to whoever asks why it does not run. Greater than all in priority, it holds nobody up. */
async function addHopeless({ requests, referee }: QuietWorld): Promise<void> {
  await addJob(requests, 'quiet-hopeless', POOL, { priority: 1_000 });
  const commandLine = commandLineOf(SOUND);
  for (const [id, wish] of Object.entries(HOPELESS)) {
    referee.hopeless.add(`quiet-hopeless/${id}`);
    const answer = await requests.command(GROUP, () => ({
      kind: 'task.add',
      job: 'quiet-hopeless',
      tasks: [{ id, commandLine, ...wish }],
    }));
    if (!answer.ok) throw new Error(`the task ${id} was refused with its request: ${answer.code}`);
    const outcome = answer.value[0]?.outcome;
    if (outcome?.ok === false && outcome.code !== 'TaskCanNeverRun')
      referee.fail('S9', `the task ${id}, which nobody can run, was refused as ${outcome.code}`);
  }
}

const HOPELESS = {
  requiredSlots: { requiredSlots: TOO_MANY_SLOTS },
  labels: { requiredLabels: ['nobody-has-this'] },
} as const satisfies Record<string, Partial<TaskSpec>>;

async function reviewHopeless({ requests, referee }: QuietWorld): Promise<void> {
  const { items } = await requests.query(GROUP, 'task.list', { job: 'quiet-hopeless', limit: NODES_MAX });
  for (const { spec, state } of items) {
    if (state !== 'active') referee.fail('S9', `the task ${spec.id}, which nobody can run, is ${state}`);
    const told = await requests.query(GROUP, 'task.explain', { job: 'quiet-hopeless', task: spec.id });
    if (!namesReason(told, spec.id))
      referee.fail('S9', `the task ${spec.id} does not say that nobody can run it: ${JSON.stringify(told)}`);
  }
  await requests.command(GROUP, () => ({ kind: 'job.delete', job: 'quiet-hopeless' }));
}

/** For the whole pool, or for each node that takes tasks at all. */
function namesReason({ reasons, nodes }: Explanation, rule: string): boolean {
  if (reasons.some((reason) => reason.rule === rule)) return true;
  const willing = nodes.filter((node) => node.rule !== 'nodeLeaving' && node.rule !== 'nodeDisabled');
  return willing.length > 0 && willing.every((node) => node.rule === rule);
}

/** S15: all were ready, fit everywhere and were tried once. A later epoch was assigned later, and not before its betters. */
function reviewOrder(referee: Referee): void {
  const epochsOf = (job: string, count: number): number[] =>
    named(job, count).flatMap((task) => referee.epochsOf(task));
  const last = Math.max(...epochsOf('quiet-urgent', URGENT_TASKS));
  const first = Math.min(...epochsOf('quiet-other', OTHER_TASKS));
  if (first < last)
    referee.fail(
      'S15',
      `a task was assigned in entry ${first}, and one of greater priority in entry ${last}`,
    );
}

/** S14, of a job: all that it runs is ended soon after its limit, and it says why. */
async function outrunLimit(world: QuietWorld): Promise<void> {
  const { course, requests, referee } = world;
  const constraints = { maxWallClockTime: formatDuration(JOB_LIMIT_MS) };
  await ask(world, 'a job with a limit', addJob(requests, 'quiet-limited', POOL, { constraints }));
  const commandLine = commandLineOf({ ...SOUND, durationMs: JOB_LIMIT_MS * 100 });
  const tasks = ids(3).map((id) => ({ id, commandLine }));
  await ask(world, 'tasks that outrun it', addTasks(requests, 'quiet-limited', tasks));
  // Not all of them find a slot before it is over, perhaps none.
  const overAtMs = requests.nowMs + JOB_OVER_MS;
  const runs = ({ task }: SimProcess): boolean => task.startsWith('quiet-limited/');
  await course.until(
    {
      rule: 'S14',
      what: 'what runs beyond the limit of its job is ended',
      boundMs: JOB_OVER_MS + JOB_ENDS_MS,
    },
    () => requests.nowMs > overAtMs && !referee.processesAlive().some(runs),
  );
  if (tasks.every(({ id }) => referee.epochsOf(`quiet-limited/${id}`).length === 0))
    await course.runFor(JOB_ENDS_MS);
  const job = await ask(world, 'its job', requests.query(GROUP, 'job.get', { job: 'quiet-limited' }));
  if (job.terminateReason !== 'MaxWallClockTimeExpiry')
    referee.fail('S14', `a job that reached its limit was ended for ${job.terminateReason}`);
}

function ids(count: number): readonly string[] {
  return Array.from({ length: count }, (_, number) => String(number));
}

function named(job: string, count: number): readonly string[] {
  return ids(count).map((id) => `${job}/${id}`);
}
