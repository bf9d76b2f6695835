import { statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { asShoalError, type ShoalError } from '../../lib/errors.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { addressOf } from '../connection.ts';
import { type Check, diagnose, exitCodeOfChecks, type Facts } from '../diagnosis.ts';
import { withExamples } from '../examples.ts';
import { renderTable } from '../table.ts';

export function addDoctorCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('doctor')
      .description('look for what is wrong with this machine and its mesh, and say what to do')
      .action(action(context, examine)),
    [
      ['shoal doctor', 'exit code 0 if nothing is wrong'],
      ['shoal doctor --output json', 'for monitoring'],
    ],
  );
}

async function examine(run: Run): Promise<number> {
  const facts = await gather(run);
  const checks = diagnose(facts);
  await show(run, checks);
  return exitCodeOfChecks(checks, facts);
}

async function gather(run: Run): Promise<Facts> {
  const [status, local] = await Promise.all([
    attempt(run, () => run.client.mesh.look({ signal: run.signal })),
    disk(run),
  ]);
  const facts = { nodeVersion: process.versions.node, where: run.client.where, nowMs: Date.now(), ...local };
  if (status instanceof Error) return { ...facts, status };
  const machines = await attempt(run, () => run.client.mesh.machines({ signal: run.signal }));
  const skew = status.agentTimeMs === undefined ? {} : { clockSkewMs: status.agentTimeMs - facts.nowMs };
  return { ...facts, status: status.status, machines, ...skew };
}

async function attempt<T>(run: Run, call: () => Promise<T>): Promise<T | ShoalError> {
  try {
    return await call();
  } catch (error) {
    run.signal.throwIfAborted();
    return asShoalError(error);
  }
}

/** Free space of the nearest directory that exists: before `shoal init` the data directory does not. */
async function disk(run: Run): Promise<Pick<Facts, 'diskFreeBytes' | 'dataDirectory'>> {
  if (addressOf(run.connectionFlags, run.world).kind === 'endpoint') return {};
  const dataDirectory = run.dataDirectory;
  for (let at = dataDirectory; ; at = path.dirname(at)) {
    const found = await statfs(at).catch(() => undefined);
    if (found !== undefined) return { diskFreeBytes: found.bavail * found.bsize, dataDirectory };
    if (path.dirname(at) === at) return {};
  }
}

async function show(run: Run, checks: readonly Check[]): Promise<void> {
  if (run.output.format !== 'table') return run.output.rows(checks, []);
  const lines = renderTable<Check>(
    [
      {
        title: '',
        value: (row) => row.verdict,
        tone: (row) => (row.verdict === 'ok' ? 'good' : row.verdict === 'warning' ? 'waiting' : 'bad'),
      },
      { title: 'CHECK', value: (row) => row.check },
      { title: 'FOUND', value: (row) => row.detail },
    ],
    checks,
    run.output.style,
  );
  const remedies = checks.flatMap(({ check, remedy }) =>
    remedy === undefined ? [] : [`  ${check}: ${remedy}`],
  );
  await run.output.lines([...lines, ...(remedies.length === 0 ? [] : ['', 'What to do:', ...remedies])]);
}
