/** One world from its founding to its rest: join, load and faults, then calm, in which everything must end. */
import { Prng } from '../../../src/lib/prng.ts';
import { Course } from './course.ts';
import { DiskBudget } from './disk-budget.ts';
import { drawKinds, drawScript, type FaultKind, type FaultScript } from './fault-script.ts';
import { Faults } from './faults.ts';
import { FileClients } from './file-clients.ts';
import { FileReferee } from './file-referee.ts';
import { gather } from './gathering.ts';
import { drawHabits, type Habit } from './habits.ts';
import { JobClients } from './job-clients.ts';
import { beginLists } from './list-clients.ts';
import { SimNetwork } from './network.ts';
import { newestBooks } from './newest-books.ts';
import { ObjectClients } from './object-clients.ts';
import { OperatorModel } from './operator-model.ts';
import { GANG_POOL, SCALED_POOL, SECOND_POOL } from './pool-names.ts';
import { machineName, type Profile, SMALL } from './profile.ts';
import { workQuietly } from './quiet-work.ts';
import { Referee, Violation } from './referee.ts';
import { replayDisk } from './replays.ts';
import { Requests } from './requests.ts';
import { CALM_MS_MAX, comeToRest, type RestingWorld } from './rest.ts';
import { ScaledPool } from './scaled-pool.ts';
import { ScheduleClients } from './schedule-clients.ts';
import { type FilesOptions, SimMachine } from './sim-machine.ts';
import { Timeline } from './timeline.ts';
import { Scope, VirtualTime } from './virtual-time.ts';

export interface RunResult {
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  /** What went wrong, and when: give it back to see the same again, or part of it to see less. */
  readonly script: FaultScript;
  /** Undefined where all held. */
  readonly failure: Error | undefined;
  readonly timeline: readonly string[];
  /** Equal for equal courses. */
  readonly digest: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly tasksAccepted: number;
  readonly processesStarted: number;
}

export interface RunOptions {
  readonly seed: number;
  /** In place of the seed's own draw. */
  readonly faults?: readonly FaultKind[];
  /** In place of the faults that are drawn of the kinds. */
  readonly script?: FaultScript;
  /** In place of the seed's own draw. */
  readonly habits?: readonly Habit[];
  /** Default SMALL. */
  readonly profile?: Profile;
  /** Keeps the timeline. Default true; without it a world is quicker. */
  readonly keepTimeline?: boolean;
  readonly onLine?: (line: string) => void;
}

/** Rates that differ by less than 10 % from the slowest to the fastest. */
const RATE = { low: 0.957, high: 1.043 } as const;
const WALL_SKEW_MS_MAX = 60_000;
const AUDIT_PERIOD_MS = 1_000;
/** The smallest make manifests of several levels, the largest make contents that do not fit into one message. */
const CHUNK_BYTES = [256, 4_096, 32_768] as const;
/**
 * Shorter than in real life, where worlds would end before the first collection, and longer than a request and the change
 * that it asks for may be on their way.
 */
const COLLECT_PERIOD_MS = 32_000;
const SETTLE_MS_MAX = 1_200;
/** Until all agents have read their stores. */
const REOPEN_MS = 1_000;

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const simulation = new Simulation(options);
  let failure: Error | undefined;
  try {
    await simulation.run();
  } catch (thrown) {
    failure = thrown instanceof Error ? thrown : new Error(String(thrown));
  }
  return simulation.result(failure);
}

class Simulation {
  readonly #seed: number;
  readonly #profile: Profile;
  readonly #random: Prng;
  readonly #time = new VirtualTime();
  readonly #timeline: Timeline;
  readonly #referee: Referee;
  readonly #network: SimNetwork;
  readonly #machines: SimMachine[] = [];
  readonly #disks = new DiskBudget(this.#machines);
  readonly #byScope = new Map<number, SimMachine>();
  readonly #kinds: readonly FaultKind[];
  readonly #habits: ReadonlySet<Habit>;
  readonly #script: FaultScript;
  readonly #chaosMs: number;
  readonly #world = new Scope('world');
  readonly #course: Course;
  readonly #requests: Requests;
  readonly #jobs: JobClients;
  readonly #objects: ObjectClients;
  /** Undefined in worlds without files. */
  readonly #files: FileClients | undefined;
  readonly #schedules: ScheduleClients | undefined;
  /** Undefined in worlds without a formula. */
  readonly #scaled: ScaledPool | undefined;
  readonly #operator: OperatorModel;
  #audited = 0;
  #fatal: Error | undefined;

  constructor(options: RunOptions) {
    const { seed, faults, script, profile = SMALL, keepTimeline = true, onLine } = options;
    this.#seed = seed;
    this.#profile = profile;
    const random = new Prng(seed);
    this.#random = random;
    this.#timeline = new Timeline(this.#time, {
      keep: keepTimeline,
      ...(onLine === undefined ? {} : { onLine }),
    });
    this.#network = new SimNetwork(this.#time, random.fork(), (who, what) => this.#timeline.note(who, what));
    const drawn = drawKinds(random.fork());
    const habits = drawHabits(random.fork());
    this.#habits = options.habits === undefined ? habits : new Set(options.habits);
    const fileReferee = this.#habits.has('files')
      ? new FileReferee(this.#machines, this.#timeline)
      : undefined;
    this.#referee = new Referee(this.#timeline, fileReferee);
    this.#chaosMs = random.int(profile.chaosMs.low, profile.chaosMs.high);
    const scriptRandom = random.fork();
    const possible = drawn.filter((kind) => kind !== 'rotChunks' || this.#habits.has('files'));
    this.#kinds = script?.map(({ kind }) => kind) ?? faults ?? possible;
    const { machines, pauseMs } = profile;
    const drawnFor = { machines, chaosMs: this.#chaosMs, pauseMs };
    this.#script = script ?? drawScript(scriptRandom, this.#kinds, drawnFor);
    const files = fileReferee && {
      chunkBytes: random.pick(CHUNK_BYTES),
      collectPeriodMs: COLLECT_PERIOD_MS,
      watcher: fileReferee,
    };
    this.#makeMachines(random.fork(), files);
    this.#course = new Course(this.#time, (scope) => this.#look(scope));
    this.#requests = new Requests({
      time: this.#time,
      timeline: this.#timeline,
      random: random.fork(),
      machines: this.#machines,
      referee: this.#referee,
      scope: new Scope('client', 1),
      isOut: (machine) => this.#operator.removed.has(machine),
    });
    this.#jobs = new JobClients({
      requests: this.#requests,
      random: random.fork(),
      habits: this.#habits,
      inputs: () => this.#files?.inputs ?? [],
      referee: this.#referee,
    });
    this.#objects = new ObjectClients(this.#requests, random.fork(), this.#habits, this.#referee);
    this.#operator = new OperatorModel({
      requests: this.#requests,
      random: random.fork(),
      habits: this.#habits,
      machines: this.#machines,
      disks: this.#disks,
      referee: this.#referee,
    });
    this.#files = files && this.#fileClients(random.fork(), files);
    this.#schedules = this.#habits.has('schedules') ? this.#scheduleClients(random.fork()) : undefined;
    this.#scaled = this.#habits.has('formula') ? this.#scaledPool(random.fork()) : undefined;
  }

  #scheduleClients(random: Prng): ScheduleClients {
    return new ScheduleClients({
      requests: this.#requests,
      random,
      referee: this.#referee,
      groupMs: () => this.#groupMs(),
    });
  }

  #scaledPool(random: Prng): ScaledPool {
    return new ScaledPool({
      requests: this.#requests,
      random,
      referee: this.#referee,
      books: () => newestBooks(this.#machines),
    });
  }

  #fileClients(random: Prng, { chunkBytes, watcher }: FilesOptions<FileReferee>): FileClients {
    const clients = new FileClients({
      requests: this.#requests,
      random,
      referee: this.#referee,
      chunkBytes,
    });
    watcher.isVersion = (url, bytes) => clients.isVersion(url, bytes);
    return clients;
  }

  #makeMachines(random: Prng, files: FilesOptions | undefined): void {
    // A short log makes those who were away take a snapshot.
    const entries = random.chance(0.5) ? random.int(5, 60) : 20_000;
    for (let number = 0; number < this.#profile.machines; number++) {
      const machine = new SimMachine({
        name: machineName(number),
        number,
        cores: random.int(2, 8),
        labels: this.#labelsOf(number),
        time: this.#time,
        timeline: this.#timeline,
        network: this.#network,
        random: random.fork(),
        drift: {
          rate: RATE.low + random.next() * (RATE.high - RATE.low),
          wallSkewMs: random.int(-WALL_SKEW_MS_MAX, WALL_SKEW_MS_MAX),
          monotonicStartMs: random.int(0, 1_000_000),
          sleptMs: 0,
        },
        logKept: { entries, bytes: 32 * 1024 * 1024 },
        // So small that a record begins anew several times.
        flightRecord: { recordBytes: entries * 100, baseBytes: 1024 * 1024 },
        watcher: this.#referee,
        files,
        onEvent: (at, group, event) => this.#referee.onEvent(at, group, event),
        onFatal: (at, error) => {
          this.#fatal ??= new Violation(`L3: the agent of ${at.name} ended: ${error.stack ?? error.message}`);
        },
      });
      this.#machines.push(machine);
      this.#byScope.set(machine.scopeNumber, machine);
    }
  }

  /** Machines of a world differ in two ways, where anybody asks for it. */
  #labelsOf(number: number): readonly string[] {
    const labels = this.#habits.has('quietWork') ? [number % 2 === 0 ? 'even' : 'odd'] : [];
    this.#referee.labelsOf.set(machineName(number), labels);
    return labels;
  }

  result(failure: Error | undefined): RunResult {
    return {
      seed: this.#seed,
      faults: this.#kinds,
      script: this.#script,
      failure,
      timeline: this.#timeline.lines,
      digest: this.#timeline.digest,
      virtualMs: this.#time.nowMs,
      events: this.#time.count,
      tasksAccepted: this.#jobs.tasksAccepted,
      processesStarted: this.#referee.processesStarted,
    };
  }

  async run(): Promise<void> {
    this.#audit();
    const late = this.#habits.has('joinLate') ? this.#machines.at(-1) : undefined;
    const founders = this.#machines.filter((machine) => machine !== late);
    await gather(founders, { course: this.#course, requests: this.#requests });
    // Sometimes before all follow the mesh group and have a node, sometimes after.
    await this.#course.runFor(this.#random.int(0, SETTLE_MS_MAX));
    await this.#chaos(late);
    const machines = this.#machines.filter(
      (machine) => machine.hasJoined && !this.#operator.removed.has(machine),
    );
    const resting: RestingWorld = {
      course: this.#course,
      referee: this.#referee,
      requests: this.#requests,
      machines,
      pools: this.#pools(),
      jobs: this.#jobs.jobs,
      nodesMayTerminate: this.#habits.has('secondPool'),
      files: this.#files,
      collects: this.#profile.chaosMs.low > COLLECT_PERIOD_MS,
      scaled: this.#scaled,
    };
    await comeToRest(resting);
    if (this.#habits.has('quietWork')) {
      await workQuietly({ ...resting, random: this.#random.fork() });
      await comeToRest(resting);
    }
    this.#objects.check();
    // A replay applies the whole world once more. All disks should hold the same, and the next seed takes the next one.
    const recorded = machines[this.#seed % machines.length];
    if (recorded !== undefined) await replayDisk(recorded, this.#timeline);
  }

  /** The mesh group's time, by whoever knows most of it. */
  #groupMs(): number {
    return newestBooks(this.#machines)?.timeMs() ?? 0;
  }

  #pools(): readonly string[] {
    return [
      'default',
      ...(this.#habits.has('secondPool') ? [SECOND_POOL] : []),
      ...(this.#habits.has('gangs') ? [GANG_POOL] : []),
      ...(this.#habits.has('formula') ? [SCALED_POOL] : []),
    ];
  }

  async #chaos(late: SimMachine | undefined): Promise<void> {
    const chaosMs = this.#chaosMs;
    const timeline = this.#timeline;
    timeline.note('faults', () => `are ${this.#kinds.join(' ') || 'none'}, for ${chaosMs} ms`);
    timeline.note('client', () => `does ${[...this.#habits].join(' ') || 'nothing but adding jobs'}`);
    await this.#course.awaiting('the pools', CALM_MS_MAX, this.#operator.addPools());
    if (this.#scaled !== undefined)
      await this.#course.awaiting('the scaled pool', CALM_MS_MAX, this.#scaled.add());
    const untilMs = this.#time.nowMs + chaosMs;
    const faults = new Faults({
      time: this.#time,
      timeline,
      network: this.#network,
      machines: this.#machines,
      disks: this.#disks,
      files: this.#referee.files,
    });
    faults.begin(this.#script);
    this.#operator.begin(untilMs, late);
    this.#objects.begin(untilMs, () => this.#groupMs());
    this.#files?.begin(untilMs);
    this.#schedules?.begin(untilMs);
    this.#scaled?.begin(untilMs);
    beginLists(
      {
        requests: this.#requests,
        random: this.#random.fork(),
        habits: this.#habits,
        jobs: this.#jobs,
        referee: this.#referee,
      },
      untilMs,
    );
    this.#jobs.begin({
      pools: this.#pools(),
      jobs: this.#profile.jobs,
      tasks: this.#profile.tasks,
      taskMsMax: this.#random.pick(this.#profile.taskMsMax),
      untilMs: this.#time.nowMs + chaosMs * 0.6,
    });
    await this.#course.runFor(chaosMs);
    faults.end();
    await this.#meetAgain();
    await this.#course.until(
      { rule: 'L2', what: 'every request is answered', boundMs: CALM_MS_MAX },
      () => this.#requests.isDone,
    );
    const ends = [this.#operator.end(), this.#schedules?.end()];
    await this.#course.awaiting('the last changes', CALM_MS_MAX, Promise.all(ends));
  }

  /** Where so many moved while they were apart that nobody knows where anybody is, a LAN must help, or a person. */
  async #meetAgain(): Promise<void> {
    await this.#course.runFor(REOPEN_MS);
    const members = this.#machines.filter(
      (machine) => machine.hasJoined && !this.#operator.removed.has(machine),
    );
    if (this.#network.isWhole(members.map(({ name }) => name))) return;
    this.#timeline.note('faults', 'so many moved that all are put into one LAN');
    this.#network.discoverAll();
  }

  #look(scope: Scope): void {
    this.#timeline.mix(scope);
    const machine = this.#byScope.get(scope.number);
    if (machine !== undefined) this.#referee.inspect(machine);
    if (this.#fatal !== undefined) throw this.#fatal;
    if (this.#requests.failure !== undefined) throw this.#requests.failure;
    if (this.#referee.files?.failure !== undefined) throw this.#referee.files.failure;
  }

  /** One machine's books after another, so that a large world pays no more. */
  #audit(): void {
    this.#time.after(AUDIT_PERIOD_MS / this.#machines.length, this.#world, () => {
      const machine = this.#machines[this.#audited++ % this.#machines.length];
      if (machine !== undefined) this.#referee.audit(machine, this.#time.nowMs);
      this.#audit();
    });
  }
}
