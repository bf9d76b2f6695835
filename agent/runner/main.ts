/**
 * The runner process. Arguments: its directory, its socket's path, its identity, and whether it has a PID
 * namespace of its own. Started by `startRunner`, never by hand; it takes nothing from its environment.
 */
import { unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  CONTAINER_LEFTOVERS_WAIT_MS,
  KILL_GRACE_MS,
  RUNNER_IDLE_EXIT_MS,
  RUNNER_OOM_SCORE_ADJUSTMENT,
} from '../../src/lib/limits.ts';
import { Attachment } from './attachment.ts';
import { CgroupBoxes } from './cgroups.ts';
import { Containers } from './containers.ts';
import type { IsolationTier } from './interface.ts';
import { isInNamespace } from './isolation.ts';
import { Journal } from './journal.ts';
import { machineMonotonicMs, openBootClock } from './machine-clocks.ts';
import { readPageBytes } from './process-table.ts';
import { ReportOutbox } from './report-outbox.ts';
import { Runner } from './runner.ts';

const [directory, socketPath, identity, namespaceWord] = process.argv.slice(2);
if (directory === undefined || socketPath === undefined || identity === undefined) {
  process.stderr.write('usage: runner DIRECTORY SOCKET IDENTITY namespace|plain\n');
  process.exit(64);
}
serve(directory, socketPath, identity, namespaceWord === 'namespace' && isInNamespace());

function serve(directory: string, socketPath: string, identity: string, hasNamespace: boolean): void {
  offerToOutOfMemoryKiller();
  const { journal, exits } = Journal.open(join(directory, 'journal'));
  const boxes = CgroupBoxes.open(identity);
  const outbox = new ReportOutbox(journal, exits);
  const containers = new Containers({ directory: join(directory, 'containers'), identity, log });
  const runner = new Runner(
    { outbox, boxes, containers, bootMs: openBootClock(), log, exit: (code) => process.exit(code) },
    { identity, hasNamespace, pageBytes: readPageBytes() },
  );
  const end = (): void => {
    void runner.stop(KILL_GRACE_MS).then(() => {
      journal.close();
      removeSocket(socketPath);
      process.exit(0);
    });
  };
  const server = createServer();
  const tier: IsolationTier = hasNamespace ? 'namespace' : boxes === undefined ? 'scan' : 'cgroup';
  const attachment = new Attachment({ server, runner, outbox, log, onShutdown: end }, { tier });
  endWhenForgotten(runner, attachment, end);
  server.on('error', (error) => {
    log(`cannot listen: ${error.message}`);
    process.exit(71);
  });
  removeSocket(socketPath);
  // An agent that finds us listening may launch at once.
  const late = new Promise((resolve) => setTimeout(resolve, CONTAINER_LEFTOVERS_WAIT_MS));
  void Promise.race([containers.removeLeftovers(), late]).then(() => {
    server.listen(socketPath, () => log(`listening, tier ${tier}, ${exits.length} exits to report`));
  });
  process.on('SIGTERM', end);
  // The agent's terminal, if it has one, is none of ours.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
}

/**
 * Its tasks inherit this. To raise one's own is everybody's right, so a failure means a system without it.
 */
function offerToOutOfMemoryKiller(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', String(RUNNER_OOM_SCORE_ADJUSTMENT));
  } catch {
    log('the out-of-memory score cannot be set');
  }
}

function endWhenForgotten(runner: Runner, attachment: Attachment, end: () => void): void {
  let lastNeededMs = machineMonotonicMs();
  setInterval(() => {
    if (attachment.isAttached || !runner.isIdle) lastNeededMs = machineMonotonicMs();
    else if (machineMonotonicMs() - lastNeededMs >= RUNNER_IDLE_EXIT_MS) end();
  }, RUNNER_IDLE_EXIT_MS / 4);
}

function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // There was none.
  }
}

function log(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}
