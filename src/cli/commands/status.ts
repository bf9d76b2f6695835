import type { Command } from 'commander';
import type { LocalStatus } from '../../model/control.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { renderRecord, renderTable } from '../table.ts';
import { printable } from '../terminal-text.ts';

export function addStatusCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('status')
      .description('the agent that answers: its mesh, peers, groups and running tasks')
      .action(action(context, showStatus)),
    [['shoal status', 'needs no quorum']],
  );
}

async function showStatus(run: Run): Promise<void> {
  const status = await run.client.mesh.status({ signal: run.signal });
  if (run.output.format !== 'table') return run.output.record(status, []);
  await run.output.lines(machineLines(status));
  if (status.groups.length === 0) return;
  await run.output.lines([
    '',
    ...renderTable(
      [
        { title: 'GROUP', value: (row) => row.group },
        { title: 'ROLE', value: (row) => row.role },
        {
          title: 'COORDINATOR',
          value: (row) => row.leaderName ?? row.leader ?? 'none',
          tone: (row) => (row.leader === undefined ? 'bad' : undefined),
          shrinks: true,
        },
        { title: 'TERM', value: (row) => row.term },
        { title: 'APPLIED', value: (row) => `${row.applied}/${row.commit}` },
        { title: 'VOTERS', value: (row) => row.voters.length },
      ],
      status.groups,
      run.output.style,
    ),
  ]);
}

function machineLines(status: LocalStatus): readonly string[] {
  const { machine, runner } = status;
  return renderRecord([
    ['mesh', status.meshId],
    ['machine', machine.name],
    ['id', machine.id],
    ['version', machine.version],
    ['addresses', machine.addresses.map(printable).join(', ')],
    ['agent', `process ${machine.pid}, up for ${ago(machine.startedAtMs, Date.now())}`],
    ['peers', `${status.connectedPeers.length} connected`],
    ['tasks', `${runner.running} running, ${runner.waiting} waiting`],
    ['isolation', runner.tier],
  ]);
}
