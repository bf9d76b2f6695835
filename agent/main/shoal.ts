#!/usr/bin/env node
import '../../src/lib/polyfill.ts';
import { runCli } from '../../src/cli/main.ts';

process.exitCode = await runCli(process.argv.slice(2), {
  agent: async () => (await import('./commands.ts')).agentCommands,
});
