/**
 * An agent in a process of its own, for tests that kill or stop it. Arguments: the runner's directory, its
 * script, the lease's length in milliseconds, and the launches as JSON. Renews the lease, prints a line for
 * each start and exit.
 */
import { createRunnerClient } from '../../../agent/runner/client.ts';
import type { Launch, NodeSetup } from '../../../agent/runner/interface.ts';
import { openBootClock } from '../../../agent/runner/machine-clocks.ts';
import { systemClock } from '../../../src/lib/clock.ts';

const [directory = '', runnerScript = '', leaseMs = '', work = ''] = process.argv.slice(2);
const { setup, launches } = JSON.parse(work) as { setup: NodeSetup; launches: Launch[] };
const log = { info: () => {}, warn: () => {}, error: () => {} };
const client = createRunnerClient({
  directory,
  runnerScript,
  log,
  clock: systemClock,
  bootMs: openBootClock(),
});

void client
  .attach({
    onStarted: (running) => process.stdout.write(`started ${running.key.task}\n`),
    onExit: (exit) => process.stdout.write(`exit ${exit.key.task}\n`),
    onLost: () => process.stdout.write('lost\n'),
  })
  .then(() => {
    client.configureNode(setup);
    client.setLease('pool', Number(leaseMs));
    setInterval(() => client.setLease('pool', Number(leaseMs)), Number(leaseMs) / 4);
    client.launch(launches);
  });
