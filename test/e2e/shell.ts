/** The program as a person at a shell sees it: words in, text and an exit code out. */
import { spawn } from 'node:child_process';
import { PROGRAM } from '../../scripts/local-mesh/local-mesh.ts';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ShellOptions {
  /** Data directory of the agent that is asked. */
  readonly data?: string;
  readonly input?: string;
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export function shoal(words: readonly string[], options: ShellOptions = {}): Promise<Ran> {
  const { data, input, directory, environment } = options;
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    cwd: directory,
    env: { ...process.env, ...(data === undefined ? {} : { SHOAL_DATA: data }), ...environment },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  child.stdin?.end(input);
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...said }));
  });
}

/** The one JSON document that a command prints; throws what it said where it failed. */
export async function shoalJson<T>(words: readonly string[], options: ShellOptions = {}): Promise<T> {
  const { code, stdout, stderr } = await shoal([...words, '--output', 'json'], options);
  if (code !== 0) throw new Error(`shoal ${words.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}
