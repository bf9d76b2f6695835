/** What a mesh costs at several sizes, as a table. Each size has a process of its own, for its memory is part of it. */
import { spawn } from 'node:child_process';
import { runScale, type ScaleResult, type ScaleSize } from '../../test/sim/scale/scale-world.ts';

const HEAP_MB_MAX = 16_384;
/** Thousands of machines have so much in flight that the usual young generation is copied again and again. */
const YOUNG_MB_MAX = 64;

/** Growing machines, growing tasks, and one large pool. */
const SIZES: readonly ScaleSize[] = [
  { machines: 10, pools: 20, tasks: 1_000 },
  { machines: 10, pools: 20, tasks: 10_000 },
  { machines: 100, pools: 20, tasks: 10_000 },
  { machines: 1_000, pools: 20, tasks: 10_000 },
  { machines: 100, pools: 20, tasks: 100_000 },
  { machines: 100, pools: 20, tasks: 1_000_000 },
  { machines: 100, pools: 1, tasks: 100_000 },
  { machines: 1_000, pools: 1, tasks: 100_000 },
  { machines: 10_000, pools: 20, tasks: 100_000 },
];

const HEADINGS = [
  'machines',
  'pools',
  'tasks',
  'idle: % core',
  'msg/machine·s',
  'B/machine·s',
  'mesh change: ms',
  'msg/machine',
  'task: µs decide',
  'µs agent',
  'msg',
  'B',
  'rows',
  'log B',
  'failover s',
  'MB',
  'CPU s',
] as const;

export interface ScaleOptions {
  /** `machines/pools/tasks`; all sizes of the table without any. */
  readonly sizes: readonly string[];
  readonly output: 'table' | 'json';
  /** This very program. */
  readonly program: string;
}

export async function printScale({ sizes, output, program }: ScaleOptions): Promise<void> {
  const wanted = sizes.length === 0 ? SIZES : sizes.map(parseSize);
  const [only] = wanted;
  if (output === 'json' && only !== undefined && wanted.length === 1) {
    const result = await runScale(only, (line) => process.stderr.write(`${line}\n`));
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  if (output === 'table') process.stdout.write(`${HEADINGS.join(' | ')}\n`);
  for (const size of wanted) {
    const text = await inOwnProcess(program, `${size.machines}/${size.pools}/${size.tasks}`);
    if (output === 'json') process.stdout.write(text);
    else process.stdout.write(`${rowOf(JSON.parse(text) as ScaleResult).join(' | ')}\n`);
  }
}

function parseSize(text: string): ScaleSize {
  const match = /^(\d+)\/(\d+)\/(\d+)$/.exec(text);
  if (match === null) throw new Error(`A size is machines/pools/tasks, as 100/20/10000: not ${text}.`);
  return { machines: Number(match[1]), pools: Number(match[2]), tasks: Number(match[3]) };
}

function inOwnProcess(program: string, size: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        `--max-old-space-size=${HEAP_MB_MAX}`,
        `--max-semi-space-size=${YOUNG_MB_MAX}`,
        ...[program, '--scale', size, '--output', 'json'],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`The world of ${size} ended with ${code}.`));
    });
  });
}

function rowOf({ size, idle, meshEntry, run, failoverMs, heapBytes, cpuSeconds }: ScaleResult): string[] {
  const machineSeconds = size.machines * idle.seconds;
  const { sent, received } = idle.working;
  const traffic = run.deciding;
  return [
    String(size.machines),
    String(size.pools),
    String(size.tasks),
    ((idle.deciding.cpuMs / idle.seconds / 1_000) * 100).toFixed(1),
    ((sent.messages + received.messages) / machineSeconds).toFixed(1),
    ((sent.bytes + received.bytes) / machineSeconds).toFixed(0),
    (meshEntry.deciding.cpuMs / meshEntry.entries).toFixed(1),
    ((meshEntry.working.byKind['raft in']?.messages ?? 0) / (size.machines * meshEntry.entries)).toFixed(1),
    ((run.deciding.cpuMs * 1_000) / size.tasks).toFixed(0),
    ((run.working.cpuMs * 1_000) / size.tasks).toFixed(0),
    ((traffic.sent.messages + traffic.received.messages) / size.tasks).toFixed(2),
    ((traffic.sent.bytes + traffic.received.bytes) / size.tasks).toFixed(0),
    (run.rows / size.tasks).toFixed(2),
    (run.logBytes / size.tasks).toFixed(0),
    failoverMs === undefined ? 'none' : (failoverMs / 1_000).toFixed(2),
    (heapBytes / 1e6).toFixed(0),
    cpuSeconds.toFixed(0),
  ];
}
