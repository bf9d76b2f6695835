#!/usr/bin/env -S node --single-threaded-gc --no-memory-reducer
/**
 * The program `shoal`. The agent is a part of it that only its own commands load.
 *
 * V8's helper threads for garbage collection are for programs that have a machine to themselves. The cores of this one
 * belong to the tasks: with the helpers, an agent that received a large file used twice the CPU. Nor does it collect when
 * it merely has nothing else to do: that was a quarter of what an idle agent cost, for memory that it used again at once.
 */
import '../../src/lib/polyfill.ts';
import { runCli } from '../../src/cli/main.ts';

const exitCode = await runCli(process.argv.slice(2), {
  agent: async () => (await import('./commands.ts')).agentCommands,
});
// By force: a stopped agent's libraries leave timers behind that would hold the process for seconds.
await Promise.all([process.stdout, process.stderr].map(written));
process.exit(exitCode);

/** All that was written to the stream has left the process, or never will. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve();
    else stream.write('', () => resolve());
  });
}
