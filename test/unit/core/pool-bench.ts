/**
 * How fast and how big the pool's state machine is, without Raft and store. By hand:
 *
 *     npx esbuild test/unit/core/pool-bench.ts --bundle --platform=node --format=esm --packages=external --outfile=node_modules/.cache/pool-bench.mjs
 *     node --expose-gc node_modules/.cache/pool-bench.mjs [tasks] [--list] [--load]
 *
 * `--list` asks for pages of the job, `--load` makes a machine of its rows; both keep these, beside what the machine takes.
 */
import { Packr } from 'msgpackr';
import type { RowReader } from '../../../coordinator/core/interface.ts';
import { PoolMachine } from '../../../coordinator/core/pool/machine.ts';
import type { CommandBatch, PoolCommand } from '../../../src/model/commands.ts';
import type { Page, TaskEntity } from '../../../src/model/queries.ts';

const TASKS = Number(process.argv[2] ?? 100_000);
const NODES = 1_000;
const SLOTS = 2;
const ADD = 100;
const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });

const machine = new PoolMachine('bench');
const rows = new Map<string, Uint8Array>();
let index = 0;
let timeMs = 1_700_000_000_000;
const keepRows = ['--load', '--list'].some((flag) => process.argv.includes(flag));
/** One id in so many is of its own kind. */
const RARE = 1_000;

/** As on a replica: the batch comes out of a log entry's bytes. Only the CPU time of `apply` is counted: the machine may be busy. */
let applyMs = 0;
function apply(...commands: PoolCommand[]) {
  const requests = commands.map((command) => ({
    requestId: command.kind === 'task.add' ? `request-${index}` : null,
    command,
  }));
  const batch = packr.unpack(packr.pack({ timeMs: timeMs++, commands: requests })) as CommandBatch;
  index += 1;
  const begin = process.cpuUsage();
  const applied = machine.apply(index, batch);
  const { user, system } = process.cpuUsage(begin);
  applyMs += (user + system) / 1000;
  if (keepRows)
    for (const write of applied.writes)
      if (write.kind === 'put') rows.set(write.key, new Uint8Array(write.value));
  return applied;
}

function measure(name: string, count: number, run: () => void): void {
  applyMs = 0;
  const begin = performance.now();
  run();
  const wallMs = performance.now() - begin;
  const rate = (ms: number): string => `${Math.round((count / ms) * 1000).toLocaleString('en')}/s`;
  console.log(
    `${name}: apply ${rate(applyMs)} (${((applyMs / count) * 1000).toFixed(2)} µs each), with encoding and placing, by the clock ${rate(wallMs)}`,
  );
}

function heap(): string {
  globalThis.gc?.();
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  const mb = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`;
  return `heap ${mb(heapUsed)}, external ${mb(external)} (buffers ${mb(arrayBuffers)}), rss ${mb(rss)}`;
}

const nodes = Array.from({ length: NODES }, (_, n) => ({
  node: `node-${n}`,
  machine: `m${n}/1`,
  cores: 2,
  memoryBytes: 2 ** 30,
  slots: SLOTS,
  dedicated: true,
  labels: [],
  allottedAtMs: 1,
}));
apply({
  kind: 'mirror',
  meshIndex: 1,
  pool: {
    id: 'bench',
    exists: true,
    deleting: false,
    spec: { id: 'bench', vmSize: 'machine', taskSlotsPerNode: SLOTS },
  },
  nodes,
  removed: [],
});
apply({ kind: 'job.add', spec: { id: 'job', poolInfo: { poolId: 'bench' } } });
console.log(`before: ${heap()}`);

measure(`task.add of ${ADD}`, TASKS, () => {
  for (let first = 0; first < TASKS; first += ADD) {
    const tasks = Array.from({ length: ADD }, (_, n) => ({
      id: `${(first + n) % RARE === 0 ? 'rare' : 'task'}-number-${first + n}`,
      commandLine: `/usr/bin/process --input part-${first + n}.txt --level 3`,
      environmentSettings: [{ name: 'PART', value: String(first + n) }],
    }));
    apply({ kind: 'task.add', job: 'job', tasks });
  }
});
console.log(`${TASKS.toLocaleString('en')} tasks: ${heap()}`);

const reader: RowReader = {
  get: async (key) => rows.get(key),
  getMany: async (keys) => keys.map((key) => rows.get(key)),
  async *scan({ prefix, after = '', limit = Number.POSITIVE_INFINITY }) {
    const keys = [...rows.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    for (const key of keys.slice(0, limit)) yield [key, rows.get(key) ?? new Uint8Array()] as const;
  },
};

/** Pages of a thousand, one after another from `after` on. */
async function list(what: string, filter: string, after = 0): Promise<void> {
  let [pages, items, next] = [0, 0, after as number | undefined];
  const begin = process.cpuUsage();
  for (; pages < 20 && next !== undefined; pages += 1) {
    const page = (await machine.query(
      'task.list',
      { job: 'job', filter, limit: 1_000, after: next },
      reader,
    )) as Page<TaskEntity>;
    items += page.items.length;
    next = page.next;
  }
  const { user, system } = process.cpuUsage(begin);
  const ms = (user + system) / 1_000 / pages;
  console.log(`list ${what}: ${ms.toFixed(1)} ms a page, ${Math.round(items / pages)} tasks on each`);
}

async function listPages(state: string): Promise<void> {
  if (!process.argv.includes('--list')) return;
  await list('(the first time)', `state eq '${state}'`);
  await list(`${state}, from the beginning`, `state eq '${state}'`);
  await list(`${state}, from the middle`, `state eq '${state}'`, TASKS / 2);
  await list(`${state}, to the end`, `state eq '${state}'`, TASKS - 20_000);
  await list(`one in ${RARE} by id`, "startswith(id, 'rare')");
  await list('none, by exit code', 'executionInfo/exitCode eq 7');
}

await listPages('active');
let placed = 0;
let placeMs = 0;
/** Reports of this many nodes share an entry, as they do when they come within one turn. */
const REPORTS_PER_ENTRY = 50;
measure('assign + report of started and ended', TASKS, () => {
  while (placed < TASKS) {
    const begin = process.cpuUsage();
    const items = machine.place({ limit: 1_000 });
    const { user, system } = process.cpuUsage(begin);
    placeMs += (user + system) / 1000;
    if (items.length === 0) throw new Error('nothing placed');
    apply({ kind: 'assign', items });
    placed += items.length;
    const epoch = index;
    const byNode = new Map<string, number[]>();
    for (const { node, task } of items) byNode.set(node, [...(byNode.get(node) ?? []), task]);
    const reports = [...byNode].map(
      ([node, tasks]): PoolCommand => ({
        kind: 'report',
        node,
        items: tasks.map((task) => ({
          job: 1,
          task,
          epoch,
          outcome: { kind: 'exited', exitCode: 0, startedAtMs: timeMs, endedAtMs: timeMs + 5, files: [] },
        })),
      }),
    );
    for (let first = 0; first < reports.length; first += REPORTS_PER_ENTRY)
      apply(...reports.slice(first, first + REPORTS_PER_ENTRY));
  }
});
console.log(`placing: ${((placeMs / TASKS) * 1000).toFixed(2)} µs a task`);
console.log(`all completed: ${heap()}`);
await listPages('completed');

if (keepRows) {
  const sorted = [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
  const fresh = new PoolMachine('bench');
  const begin = process.cpuUsage();
  for (const [key, value] of sorted) fresh.load(key, value);
  const { user, system } = process.cpuUsage(begin);
  const last = process.cpuUsage();
  fresh.loaded();
  const { user: lastUser, system: lastSystem } = process.cpuUsage(last);
  const ms = (us: number): string => `${Math.round(us / 1000)} ms`;
  console.log(
    `load of ${sorted.length.toLocaleString('en')} rows: ${ms(user + system)}, the last step at one go: ${ms(lastUser + lastSystem)}`,
  );
}
