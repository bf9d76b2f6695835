/** Which container engine works on this machine: podman or docker. Asked once, when the agent has started. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CONTAINER_PROBE_TIMEOUT_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import type { ContainerEngine } from '../runner/interface.ts';
import { runProgram } from './run-program.ts';

export type EngineChoice = ContainerEngine['kind'] | 'none';

export interface FoundEngine extends ContainerEngine {
  readonly version: string;
}

/** Podman first: its containers are processes of the runner, which die with it; docker's are its daemon's. */
const KINDS = ['podman', 'docker'] as const;

/** Each asks for what only a working engine can tell: its storage, its daemon. */
const QUESTIONS = {
  podman: ['info', '--format', '{{.Version.Version}}'],
  docker: ['version', '--format', '{{.Server.Version}}'],
} as const;

export async function findEngine(
  choice: EngineChoice | undefined,
  log: Log,
): Promise<FoundEngine | undefined> {
  for (const kind of KINDS) {
    if (choice !== undefined && choice !== kind) continue;
    const program = findProgram(kind);
    if (program === undefined) continue;
    const environment = engineEnvironment(kind);
    const { code, stdout, stderr } = await runProgram(program, QUESTIONS[kind], {
      environment,
      timeoutMs: CONTAINER_PROBE_TIMEOUT_MS,
    });
    if (code !== 0) {
      log.info({ engine: kind, error: stderr.trim() }, 'a container engine is installed but does not work');
      continue;
    }
    const version = stdout.trim().slice(0, 64);
    const uid = process.geteuid?.() ?? 0;
    const user = `${uid}:${process.getegid?.() ?? 0}`;
    return { kind, program, environment, user, isRootless: uid !== 0, version };
  }
  return undefined;
}

function findProgram(name: string): string | undefined {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    if (!directory.startsWith('/')) continue;
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there.
    }
  }
  return undefined;
}

const COMMON = ['PATH', 'HOME', 'TMPDIR', 'XDG_RUNTIME_DIR', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
const OF_ENGINE = {
  podman: [
    'CONTAINERS_CONF',
    'CONTAINERS_REGISTRIES_CONF',
    'CONTAINERS_STORAGE_CONF',
    'STORAGE_DRIVER',
    'DBUS_SESSION_BUS_ADDRESS',
  ],
  docker: ['DOCKER_HOST', 'DOCKER_TLS_VERIFY', 'DOCKER_CERT_PATH', 'DOCKER_CONTEXT'],
} as const;

/** Of the agent's own environment, what says where the engine keeps its things. */
function engineEnvironment(kind: ContainerEngine['kind']): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of [...COMMON, ...OF_ENGINE[kind]]) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
