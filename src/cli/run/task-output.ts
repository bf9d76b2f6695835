/** What tasks print, brought to the user: standard output as it is, standard error with the task's id before each line. */
import type { ShoalClient } from '../../client/client.ts';
import type { HttpAnswer } from '../../client/transport.ts';
import { ShoalError } from '../../lib/errors.ts';
import { RUN_FETCH_AHEAD_BYTES } from '../../lib/limits.ts';
import type { Run } from '../action.ts';
import { writeTo } from '../output.ts';
import type { ProgressLine } from '../progress.ts';
import { TerminalFilter } from '../terminal-text.ts';
import type { Gate } from './gate.ts';

export type StreamName = 'stdout' | 'stderr';
const STREAMS: readonly StreamName[] = ['stdout', 'stderr'];

/** The beginning of a finished task's outputs; `whole` where there is no more. */
export interface FetchedOutput {
  readonly chunks: readonly Uint8Array[];
  readonly whole: boolean;
}

export type FetchedOutputs = Readonly<Record<StreamName, FetchedOutput>>;

/** Prints to the user's terminal or files, one task after the other. */
export class OutputPrinter {
  readonly #run: Run;
  readonly #line: ProgressLine;
  readonly #gate: Gate;

  constructor(run: Run, line: ProgressLine, gate: Gate) {
    this.#run = run;
    this.#line = line;
    this.#gate = gate;
  }

  /** A writer for the output of one task. */
  open(task: string): TaskPrinter {
    const { world } = this.#run;
    return new TaskPrinter(task, world.stdoutIsTerminal, world.stderrIsTerminal, async (stream, text) => {
      await this.#gate.passed();
      this.#line.clear();
      await writeTo(stream === 'stdout' ? world.stdout : world.stderr, text);
    });
  }

  async note(text: string): Promise<void> {
    await this.#gate.passed();
    this.#line.clear();
    await this.#run.note(text);
  }
}

type Write = (stream: StreamName, text: string | Uint8Array) => Promise<void>;

/** The output of one task: knows how much of each stream was printed, so that a broken connection repeats nothing. */
export class TaskPrinter {
  readonly #printed: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  readonly #filters: Readonly<Record<StreamName, TerminalFilter | undefined>>;
  readonly #errors: PrefixedLines;
  readonly #write: Write;

  constructor(task: string, stdoutIsTerminal: boolean, stderrIsTerminal: boolean, write: Write) {
    this.#errors = new PrefixedLines(`${task}: `);
    this.#filters = {
      stdout: stdoutIsTerminal ? new TerminalFilter() : undefined,
      stderr: stderrIsTerminal ? new TerminalFilter() : undefined,
    };
    this.#write = write;
  }

  /** Prints a body that begins at byte `from`; what was printed before is left out. */
  async print(
    stream: StreamName,
    body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    from = 0,
  ): Promise<void> {
    let at = from;
    for await (const chunk of body) {
      const fresh = chunk.subarray(Math.max(0, this.#printed[stream] - at));
      at += chunk.byteLength;
      if (fresh.byteLength === 0) continue;
      this.#printed[stream] += fresh.byteLength;
      await this.#show(stream, fresh);
    }
  }

  /** A later execution of the task begins its output anew. */
  restart(): void {
    this.#printed.stdout = 0;
    this.#printed.stderr = 0;
  }

  async end(): Promise<void> {
    const { stdout, stderr } = this.#filters;
    if (stdout !== undefined) await this.#write('stdout', stdout.end());
    await this.#write('stderr', this.#errors.end(stderr?.end() ?? ''));
  }

  async #show(stream: StreamName, bytes: Uint8Array): Promise<void> {
    const text = this.#filters[stream]?.push(bytes);
    if (stream === 'stdout') await this.#write('stdout', text ?? bytes);
    else await this.#write('stderr', this.#errors.push(text ?? bytes));
  }
}

/** Puts a prefix before each line, without waiting for lines to be whole. */
export class PrefixedLines {
  readonly #prefix: string;
  readonly #decoder = new TextDecoder();
  #atStart = true;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  push(piece: string | Uint8Array): string {
    const text = typeof piece === 'string' ? piece : this.#decoder.decode(piece, { stream: true });
    if (text === '') return '';
    const body = text.replace(/\n(?=[\s\S])/g, `\n${this.#prefix}`);
    const prefixed = this.#atStart ? this.#prefix + body : body;
    this.#atStart = text.endsWith('\n');
    return prefixed;
  }

  /** A last line without an end gets one, so that the next task's begins at the margin. */
  end(rest: string): string {
    const last = this.push(rest + this.#decoder.decode());
    return this.#atStart ? last : `${last}\n`;
  }
}

/** A finished task's outputs, up to `RUN_FETCH_AHEAD_BYTES` of each. */
export async function fetchOutputs(
  client: ShoalClient,
  job: string,
  task: string,
  signal: AbortSignal,
): Promise<FetchedOutputs> {
  const [stdout, stderr] = await Promise.all(
    STREAMS.map((stream) => fetchOutput(client, job, task, stream, signal)),
  );
  return { stdout: stdout ?? NOTHING, stderr: stderr ?? NOTHING };
}

const NOTHING: FetchedOutput = { chunks: [], whole: true };

async function fetchOutput(
  client: ShoalClient,
  job: string,
  task: string,
  stream: StreamName,
  signal: AbortSignal,
): Promise<FetchedOutput> {
  const answer = await openOutput(client, job, task, stream, signal);
  if (answer === undefined) return NOTHING;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > RUN_FETCH_AHEAD_BYTES) return { chunks, whole: false };
  }
  return { chunks, whole: true };
}

/** Prints a finished task from what was fetched ahead, and the rest of it straight from its holder. */
export async function printFinished(
  client: ShoalClient,
  job: string,
  task: string,
  printer: TaskPrinter,
  fetched: FetchedOutputs,
  signal: AbortSignal,
): Promise<void> {
  for (const stream of STREAMS) {
    await printer.print(stream, fetched[stream].chunks);
    if (fetched[stream].whole) continue;
    const answer = await openOutput(client, job, task, stream, signal);
    if (answer !== undefined) await printer.print(stream, answer.body);
  }
}

/** Prints what a running task writes. True if both streams came to their end, which is the task's; false if one broke. */
export async function printLive(
  client: ShoalClient,
  job: string,
  task: string,
  printer: TaskPrinter,
  signal: AbortSignal,
): Promise<boolean> {
  // The streams live and die together: one that broke must not wait for the other, which may last as long as the task.
  const broken = new AbortController();
  const options = { signal: AbortSignal.any([signal, broken.signal]) };
  const whole = await Promise.all(
    STREAMS.map(async (stream) => {
      try {
        const answer = await client.tasks.followFile(job, task, fileOf(stream), options);
        await printer.print(stream, answer.body);
        return true;
      } catch (error) {
        signal.throwIfAborted();
        const passing = broken.signal.aborted || isPassing(error);
        broken.abort();
        if (!passing) throw error;
        return false;
      }
    }),
  );
  return whole.every((one) => one);
}

async function openOutput(
  client: ShoalClient,
  job: string,
  task: string,
  stream: StreamName,
  signal: AbortSignal,
): Promise<HttpAnswer | undefined> {
  try {
    return await client.tasks.openFile(job, task, fileOf(stream), { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (!isPassing(error)) throw error;
    return undefined;
  }
}

function fileOf(stream: StreamName): string {
  return `${stream}.txt`;
}

/** A task that never started has no output, and one whose node is gone may have lost it: neither ends the run. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof ShoalError)) return false;
  switch (error.code) {
    case 'FileNotFound':
    case 'TaskFilesUnavailable':
    case 'TaskFilesCleanedup':
    case 'NodeNotReady':
    case 'NodeNotFound':
    case 'PeerUnreachable':
    case 'OperationTimedOut':
    case 'ServerBusy':
      return true;
    default:
      return false;
  }
}
