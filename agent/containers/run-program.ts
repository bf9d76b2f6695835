/** A program that the agent itself needs an answer of: bounded in time and in what is kept of its words. */
import { spawn } from 'node:child_process';

export interface Ended {
  /** Undefined if it could not be started, or was killed. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunProgramOptions {
  readonly environment: Readonly<Record<string, string>>;
  /** After this it is killed. */
  readonly timeoutMs: number;
  readonly input?: string;
}

/** Characters kept of each stream, from its end: that is where programs say what went wrong. */
const KEPT_LENGTH_MAX = 4_096;

export function runProgram(
  program: string,
  words: readonly string[],
  { environment, timeoutMs, input }: RunProgramOptions,
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, words, {
      cwd: '/',
      env: environment,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout = (stdout + chunk.toString()).slice(-KEPT_LENGTH_MAX);
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-KEPT_LENGTH_MAX);
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    child.once('error', (error) => resolve({ code: undefined, stdout, stderr: error.message }));
    child.once('close', (code) => resolve({ code: code ?? undefined, stdout, stderr }));
  });
}
