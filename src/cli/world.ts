/** Everything around a command: streams, environment, signals. Tests bring their own. */
import { fstatSync, openSync } from 'node:fs';
import { homedir } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { isatty, ReadStream } from 'node:tty';

export interface World {
  readonly stdin: Readable;
  /** `data` where someone has connected a file or pipe; `none` where there is nothing to read (/dev/null). */
  readonly stdinKind: 'terminal' | 'data' | 'none';
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  /** Width of the terminal. */
  columns(): number;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly isRoot: boolean;
  /** Relative paths of arguments start here. */
  readonly directory: string;
  /** Calls back at each Ctrl-C, SIGTERM or SIGHUP instead of ending the process. Returns how to stop. */
  onInterrupt(listener: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void): () => void;
  /** The next key pressed at the terminal, whatever standard input is; undefined where there is no terminal. */
  readKey(): Promise<string | undefined>;
}

export function systemWorld(): World {
  return {
    // Its mere mention opens the stream, and an open one keeps the process alive.
    get stdin() {
      return process.stdin;
    },
    stdinKind: stdinKind(),
    stdout: process.stdout,
    stderr: process.stderr,
    stdoutIsTerminal: process.stdout.isTTY === true,
    stderrIsTerminal: process.stderr.isTTY === true,
    // A terminal that was never told its size says 0.
    columns: () => process.stderr.columns || process.stdout.columns || 80,
    env: process.env,
    home: homedir(),
    isRoot: process.getuid?.() === 0,
    directory: process.cwd(),
    onInterrupt,
    readKey,
  };
}

/** A daemon's or cron's standard input is /dev/null, or closed: no items are to be had from it, and none are meant. */
function stdinKind(): World['stdinKind'] {
  try {
    const status = fstatSync(0);
    if (status.isFIFO() || status.isFile() || status.isSocket()) return 'data';
    return isatty(0) ? 'terminal' : 'none';
  } catch {
    return 'none';
  }
}

function onInterrupt(listener: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const handlers = signals.map((signal) => {
    const handler = (): void => listener(signal);
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  return () => {
    for (const off of handlers) off();
  };
}

/** From /dev/tty, because standard input may be the list of items. In raw mode a Ctrl-C arrives as a key. */
async function readKey(): Promise<string | undefined> {
  let terminal: ReadStream;
  try {
    terminal = new ReadStream(openSync('/dev/tty', 'r'));
  } catch {
    return undefined;
  }
  terminal.setRawMode(true);
  return new Promise((resolve) => {
    const settle = (key: string | undefined): void => {
      terminal.setRawMode(false);
      terminal.destroy();
      resolve(key);
    };
    terminal.once('data', (data) => settle(data.toString()));
    terminal.once('error', () => settle(undefined));
    terminal.once('end', () => settle(undefined));
  });
}
