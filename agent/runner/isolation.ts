import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { RUNNER_PROCESSES_MIN, RUNNER_PROCESSES_PER_CORE } from '../../src/lib/limits.ts';

/**
 * What to put in front of the runner's command line.
 *
 * `namespace`: its process 1 is a shell that does nothing but wait for the runner. When the runner dies, the
 * shell ends, and the kernel kills whatever is left in the namespace, before anybody can see the shell gone.
 * Whoever is orphaned inside becomes the shell's child and is reaped by it. `unshare --kill-child` stands
 * outside and ties the namespace to its own life, so that its pid, which others can see, is the handle of the
 * whole.
 */
export interface Isolation {
  readonly hasNamespace: boolean;
  readonly prefix: readonly string[];
}

/** Asks the machine by trying. Takes a few milliseconds and blocks: once, when an agent starts. */
export function probeIsolation(): Isolation {
  const limits = probeLimits();
  for (const namespace of namespaceCommands()) {
    if (succeeds([...namespace, ...limits, '/bin/sh', '-c', 'test $$ = 1 && test -e /proc/1/stat'])) {
      return {
        hasNamespace: true,
        prefix: [...namespace, ...limits, '/bin/sh', '-c', WAIT_FOR_RUNNER, INIT_NAME],
      };
    }
  }
  return { hasNamespace: false, prefix: limits };
}

/**
 * Two commands, so that no shell makes itself into the last one by `exec` and leaves process 1 without a
 * reaper.
 */
const WAIT_FOR_RUNNER = '"$@"; exit $?';
const INIT_NAME = 'shoal-init';

/**
 * True in a PID namespace that was made by `probeIsolation`'s command line. The runner kills strangers in its
 * namespace, so it does not take anybody's word for having one.
 */
export function isInNamespace(): boolean {
  return readFileSync('/proc/1/cmdline', 'latin1').split('\0').includes(INIT_NAME);
}

function namespaceCommands(): readonly (readonly string[])[] {
  // Mounts made later on the machine must reach the tasks, theirs must not reach the machine: propagation
  // `slave`.
  const common = ['--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'slave'];
  const isRoot = process.geteuid?.() === 0;
  // Without root a user namespace lends the right to make the others, where the machine's policy allows it.
  return isRoot ? [['unshare', ...common]] : [['unshare', '--user', '--map-current-user', ...common]];
}

/**
 * Bounds that every task inherits, set once: no core files, and an end to a fork bomb. Empty without
 * `prlimit`.
 */
function probeLimits(): readonly string[] {
  const wanted = Math.max(RUNNER_PROCESSES_MIN, RUNNER_PROCESSES_PER_CORE * availableParallelism());
  const processes = Math.min(wanted, hardLimitOfProcesses());
  const command = ['prlimit', '--core=0:0', `--nproc=${processes}:${processes}`];
  return succeeds([...command, '/bin/true']) ? command : [];
}

function hardLimitOfProcesses(): number {
  const match = /^Max processes\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return match?.[1] === undefined ? Number.POSITIVE_INFINITY : Number(match[1]);
}

function succeeds(command: readonly string[]): boolean {
  const [program, ...rest] = command;
  if (program === undefined) return false;
  return spawnSync(program, rest, { stdio: 'ignore', timeout: 5_000, killSignal: 'SIGKILL' }).status === 0;
}
