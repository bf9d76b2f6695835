/** Runs commands as a user would, with streams in memory. */
import { PassThrough, Readable } from 'node:stream';
import { runCli } from '../../../src/cli/main.ts';
import type { World } from '../../../src/cli/world.ts';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ShellOptions {
  readonly data?: string;
  readonly directory?: string;
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A terminal for stdout and stderr. */
  readonly terminal?: boolean;
  readonly columns?: number;
  /** Keys that the user will press when asked. */
  readonly keys?: readonly string[];
}

/** A command in progress. */
export class Shell {
  readonly ended: Promise<Ended>;
  readonly #stdout = new PassThrough();
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];
  readonly #interrupts = new Set<(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void>();

  constructor(words: readonly string[], options: ShellOptions = {}) {
    const stdout = this.#stdout;
    const stderr = new PassThrough();
    stdout.on('data', (chunk: Buffer) => this.#out.push(chunk));
    stderr.on('data', (chunk: Buffer) => this.#err.push(chunk));
    const keys = [...(options.keys ?? [])];
    const world: World = {
      stdin: Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]),
      stdinKind: options.stdin === undefined ? 'none' : 'data',
      stdout,
      stderr,
      stdoutIsTerminal: options.terminal === true,
      stderrIsTerminal: options.terminal === true,
      columns: () => options.columns ?? 100,
      env: { ...(options.data === undefined ? {} : { SHOAL_DATA: options.data }), ...options.env },
      home: '/home/user',
      isRoot: false,
      directory: options.directory ?? '/',
      onInterrupt: (listener) => {
        this.#interrupts.add(listener);
        return () => this.#interrupts.delete(listener);
      },
      readKey: async () => keys.shift(),
    };
    const agent = async (): Promise<never> => {
      throw new Error('the agent was loaded');
    };
    this.ended = runCli(words, { agent, world }).then((code) => ({
      code,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  get stdout(): string {
    return Buffer.concat(this.#out).toString();
  }

  get stderr(): string {
    return Buffer.concat(this.#err).toString();
  }

  /** The reader of standard output goes away, as `head` does. */
  closeOutput(): void {
    this.#stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  }

  interrupt(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP' = 'SIGINT'): void {
    for (const listener of this.#interrupts) listener(signal);
  }
}

export function shoal(words: readonly string[], options: ShellOptions = {}): Promise<Ended> {
  return new Shell(words, options).ended;
}
