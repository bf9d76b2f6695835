import path from 'node:path';
import type { Command } from 'commander';
import { action, type CliContext, type Run } from '../action.ts';
import type { ReplayStep, ReplayVerdict } from '../agent-commands.ts';
import { withExamples } from '../examples.ts';
import { EXIT } from '../exit-codes.ts';
import type { Column } from '../table.ts';
import { printable } from '../terminal-text.ts';
import { integer, nonEmpty } from '../values.ts';

interface ReplayOptions {
  readonly group?: string;
  readonly from?: number;
  readonly to?: number;
  readonly job?: string;
  readonly task?: string;
  readonly check?: true;
}

const COLUMNS: readonly Column<ReplayStep>[] = [
  {
    title: 'TIME',
    value: ({ timeMs }) => (timeMs === undefined ? undefined : new Date(timeMs).toISOString()),
  },
  { title: 'GROUP', value: ({ group }) => group },
  { title: 'ENTRY', value: ({ index }) => index },
  {
    title: 'WHAT',
    value: ({ kind, what }) => (kind === 'event' ? `  ${what}` : what),
    tone: ({ kind }) => (kind === 'violation' ? 'bad' : kind === 'event' ? 'dim' : undefined),
  },
  { title: 'RESULT', value: ({ result }) => result, tone: ({ refused }) => (refused ? 'bad' : undefined) },
];

export function addReplayCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('replay')
      .description(
        'replay the logs of a stopped agent: what was decided when, and whether every promise held',
      )
      .argument('[dir]', 'its data directory, or a copy (default: that of --data)', nonEmpty)
      .option('--group <group>', 'only this group: `mesh`, or `pool:<pool>`', nonEmpty)
      .option('--from <index>', 'show entries from this one on', integer(0))
      .option('--to <index>', 'show entries up to this one', integer(0))
      .option('--job <id>', 'show what concerns this job', nonEmpty)
      .option('--task <id>', 'show what concerns tasks of this id', nonEmpty)
      .option('--check', 'show the verdicts alone')
      .action(
        action<[string | undefined, ReplayOptions]>(context, async (run, directory, options) => {
          const commands = await context.agent();
          const items = commands.replay({
            directory:
              directory === undefined ? run.dataDirectory : path.resolve(run.world.directory, directory),
            group: options.group,
            from: options.from ?? 0,
            to: options.to ?? Number.MAX_SAFE_INTEGER,
            job: options.job,
            task: options.task,
          });
          return show(run, items, options.check === true);
        }),
      ),
    [
      ['shoal replay /var/lib/shoal', 'the timeline of all groups, and a verdict for each'],
      ['shoal replay --check', 'the verdicts alone'],
      ['shoal replay --group pool:render --job movie --task frame7', 'how one task went'],
    ],
  );
}

/** Everything is one stream: in JSON as it is; for people the verdicts stand under the table. */
async function show(
  run: Run,
  items: AsyncIterable<ReplayStep | ReplayVerdict>,
  verdictsOnly: boolean,
): Promise<number> {
  const verdicts: ReplayVerdict[] = [];
  const people = run.output.format === 'table';
  async function* shown(): AsyncGenerator<ReplayStep | ReplayVerdict> {
    for await (const item of items) {
      run.signal.throwIfAborted();
      if (item.kind === 'verdict') verdicts.push(item);
      if (item.kind === 'verdict' ? !people : !verdictsOnly) yield item;
    }
  }
  if (people) await showTable(run, shown(), verdicts, verdictsOnly);
  else await run.output.rows(shown(), []);
  if (verdicts.some(({ verdict }) => verdict === 'violated')) return EXIT.violated;
  return verdicts.every(({ verdict }) => verdict === 'holds') ? EXIT.ok : EXIT.failed;
}

async function showTable(
  run: Run,
  items: AsyncIterable<ReplayStep | ReplayVerdict>,
  verdicts: readonly ReplayVerdict[],
  verdictsOnly: boolean,
): Promise<void> {
  const steps = items as AsyncIterable<ReplayStep>;
  if (verdictsOnly) for await (const _ of steps);
  else await run.output.rows(steps, COLUMNS);
  for (const [position, one] of verdicts.entries()) {
    if (position > 0 || !verdictsOnly) await run.output.text('\n');
    await showVerdict(run, one);
  }
}

async function showVerdict(run: Run, one: ReplayVerdict): Promise<void> {
  const { verdict, from, founding, to, entries, unapplied, rows, stateHash, problemCount } = one;
  await run.output.record(one, [
    ['group', one.group],
    ['verdict', verdict],
    ['from', founding ? 'its founding' : verdict === 'unrecorded' ? 'nothing is recorded' : `entry ${from}`],
    ['to', `entry ${to}`],
    ['entries', entries],
    ['not applied yet', unapplied],
    ['state rows', rows],
    ['state hash', stateHash.replayed.toString(16).padStart(8, '0')],
    ['violations', problemCount],
  ]);
  await run.output.lines(one.problems.map((problem) => `  ${printable(problem)}`));
}
