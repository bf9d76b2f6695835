/** The end of a world: faults are over and a majority is connected, so everything comes to rest (L1 to L8). */
import { BLOB_COPIES } from '../../../src/lib/limits.ts';
import { MESH_GROUP, poolGroup } from '../../../src/model/ids.ts';
import { prefixEnd } from '../../../src/store/keys.ts';
import type { Course } from './course.ts';
import type { KnownJob } from './job-clients.ts';
import { type ReviewWorld, reviewJobs } from './job-review.ts';
import type { Referee } from './referee.ts';
import { Violation } from './referee.ts';
import type { ScaledPool } from './scaled-pool.ts';
import type { SimMachine } from './sim-machine.ts';

/** Elections, leases, the longest attempts and the longest tasks fit into this, some of them one after another. */
export const CALM_MS_MAX = 180_000;
const REVIEW_PERIOD_MS = 1_000;
/** Where a session keeps what it was assigned, and what it has to report. */
const EXECUTION_ROWS = ['l/e/', 'l/o/'] as const;

export interface RestingWorld extends ReviewWorld {
  readonly course: Course;
  readonly referee: Referee;
  /** Those that are members. */
  readonly machines: readonly SimMachine[];
  readonly pools: readonly string[];
  readonly jobs: readonly KnownJob[];
  /** It goes on for so long that chunks which nothing refers to are removed. */
  readonly collects: boolean;
  /** Undefined in worlds without a formula. */
  readonly scaled: ScaledPool | undefined;
}

export async function comeToRest(world: RestingWorld): Promise<void> {
  const { course, machines, referee } = world;
  const why = (): string => machines.map(heldBy).join('');
  const until = (rule: string, what: string, holds: () => boolean): Promise<void> =>
    course.until({ rule, what, boundMs: CALM_MS_MAX }, holds, why);
  await everyTaskEnds(world);
  await until('L8', 'no process lives', () => referee.processesAlive().length === 0);
  await until('L4', 'agents hold nothing', () => machines.every(holdsNothing));
  await until('L1', 'one leader, and all have caught up (L7)', () => isAtRest(world));
  await world.scaled?.comeToRest(course);
  await filesAreWhole(world);
}

/** Every content has its copies again, what was stored can be read (F1, F2), and what was deleted takes no room (L4). */
async function filesAreWhole({ course, machines, referee, files, collects }: RestingWorld): Promise<void> {
  if (files === undefined) return;
  const underCopied = (): readonly string[] => referee.files?.underCopied(BLOB_COPIES) ?? [];
  await course.until(
    { rule: 'copies', what: 'every content has its copies', boundMs: CALM_MS_MAX },
    () => underCopied().length === 0,
    () => `: ${underCopied().join('; ')}`,
  );
  await course.awaiting('all files are read', CALM_MS_MAX, files.readAll());
  for (const machine of machines) referee.files?.audit(machine);
  if (!collects) return;
  const unreferenced = (): number =>
    machines.reduce((sum, machine) => sum + (referee.files?.unreferenced(machine).length ?? 0), 0);
  await course.until(
    { rule: 'L4', what: 'disks keep only chunks that something refers to', boundMs: CALM_MS_MAX },
    () => unreferenced() === 0,
    () => `: ${unreferenced()} too many`,
  );
}

/** L2. A look at all tasks costs more than the rest: the first comes when no process and no execution is left. */
async function everyTaskEnds(world: RestingWorld): Promise<void> {
  const { course, machines, referee } = world;
  let boundMs = CALM_MS_MAX;
  for (;;) {
    await course.until(
      { rule: 'L2', what: 'all processes end', boundMs },
      () => referee.processesAlive().length === 0 && machines.every(holdsNothing),
      () => machines.map(heldBy).join(''),
    );
    const unsettled = await course.awaiting('a review', CALM_MS_MAX, reviewJobs(world.jobs, world));
    if (unsettled.length === 0) return;
    boundMs -= REVIEW_PERIOD_MS;
    if (boundMs <= 0) throw new Violation(`L2: not ended in time: ${unsettled.slice(0, 5).join('; ')}`);
    await course.runFor(REVIEW_PERIOD_MS);
  }
}

/** A machine that left a group unheard may go on asking for votes that nobody gives; only members count. */
function isAtRest({ machines, pools }: RestingWorld): boolean {
  return [MESH_GROUP, ...pools.map(poolGroup)].every((group) => {
    const replicas = machines.flatMap(({ id, life }) => {
      const replica = life?.coordinator.host.replica(group);
      return replica === undefined ? [] : [{ id, replica }];
    });
    const leaders = replicas.filter(({ replica }) => replica.leadership.leading);
    const leader = leaders[0]?.replica;
    if (leader === undefined || leaders.length > 1) return false;
    const { voters, learners } = leader.meta.configuration;
    const members = [...voters, ...learners];
    // L3: every machine follows the mesh group, whatever became of its disk.
    if (group === MESH_GROUP && !machines.every(({ id }) => members.includes(id))) return false;
    const present = members.filter((member) => machines.some(({ id }) => id === member));
    return present.every((member) => {
      const replica = replicas.find(({ id }) => id === member)?.replica;
      return (
        replica?.leadership.term === leader.leadership.term && replica.appliedIndex === leader.appliedIndex
      );
    });
  });
}

function holdsNothing({ life, runner, disk }: SimMachine): boolean {
  if (life?.sessions.held !== 0 || (runner?.unacknowledged ?? 0) > 0) return false;
  return EXECUTION_ROWS.every((prefix) => disk.list(prefix, prefixEnd(prefix)).length === 0);
}

function heldBy({ name, life, runner }: SimMachine): string {
  const replicas = [...(life?.coordinator.host.replicas.values() ?? [])].map(
    ({ group, leadership, appliedIndex }) =>
      `${group} ${leadership.leading ? 'led' : 'followed'} in term ${leadership.term} up to ${appliedIndex}`,
  );
  const held = `${life?.sessions.held} executions, its runner ${runner?.unacknowledged ?? 0} exits`;
  return `\n  ${name} holds ${held}; ${replicas.join(', ')}`;
}
