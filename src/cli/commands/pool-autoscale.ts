/** `shoal pool autoscale` and `shoal pool explain-autoscale`. */
import { type Command, Option } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import type { AutoScaleExplanation, AutoScaleStatement } from '../../model/autoscale.ts';
import type { AutoScaleChange } from '../../model/pool.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { age } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { renderTable } from '../table.ts';
import { readTextSource } from '../task-source.ts';
import { printable } from '../terminal-text.ts';
import { duration, nonEmpty } from '../values.ts';

/** How a formula is given, here and where a pool is made. */
export interface FormulaFlags {
  readonly formula?: string;
  readonly formulaFile?: string;
  readonly interval?: string;
  readonly onChange?: boolean;
}

export function addFormulaFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--formula <text>', 'the formula that sizes the pool')
        .argParser(nonEmpty)
        .conflicts('formulaFile'),
    )
    .option('--formula-file <file>', 'the same from a file, or from standard input (-)', nonEmpty);
}

export function addScheduleFlags(command: Command): Command {
  return command
    .option('--interval <time>', 'how often the formula is evaluated, 5s to 168h (15m)', duration)
    .option('--on-change', 'evaluate also when tasks or nodes of the pool change');
}

/** What the flags ask for, as the API takes it. */
export async function autoScaleChange(run: Run, flags: FormulaFlags): Promise<AutoScaleChange> {
  const formula = await formulaOf(run, flags);
  return {
    ...(formula !== undefined && { autoScaleFormula: formula }),
    ...(flags.interval !== undefined && { autoScaleEvaluationInterval: flags.interval }),
    ...(flags.onChange !== undefined && { autoScaleOnChange: flags.onChange }),
  };
}

async function formulaOf(run: Run, { formula, formulaFile }: FormulaFlags): Promise<string | undefined> {
  return formulaFile === undefined ? formula : readTextSource(formulaFile, run.world.stdin);
}

interface AutoScaleFlags extends FormulaFlags {
  readonly off?: true;
}

export function addAutoScaleCommands(pool: Command, context: CliContext): void {
  const autoscale = pool
    .command('autoscale')
    .description('size a pool by a formula, or by hand again')
    .argument('<pool>', 'id', nonEmpty);
  withExamples(
    addScheduleFlags(addFormulaFlags(autoscale))
      .option('--no-on-change', 'evaluate at each interval only')
      .addOption(
        new Option('--off', 'size the pool by hand from now on; its size stays').conflicts([
          'formula',
          'formulaFile',
          'interval',
          'onChange',
        ]),
      )
      .action(action<[string, AutoScaleFlags]>(context, autoScale)),
    [
      [
        "shoal pool autoscale render --formula '$TargetDedicatedNodes = min(8, $NodesForPendingTasks)' --on-change",
        'as many nodes as its tasks need, eight at most',
      ],
      ['shoal pool autoscale render --formula-file size.txt --interval 1m', 'a formula of many lines'],
      ['shoal pool autoscale render --off', 'keep the size it has'],
    ],
  );
  withExamples(
    addFormulaFlags(
      pool
        .command('explain-autoscale')
        .description(
          'what a formula does with a pool: each statement, its samples, and what holds nodes back',
        )
        .argument('<pool>', 'id', nonEmpty),
    ).action(action<[string, FormulaFlags]>(context, explainAutoScale)),
    [
      ['shoal pool explain-autoscale render', "the pool's own formula"],
      [
        "shoal pool explain-autoscale render --formula '$TargetDedicatedNodes = $PendingTasks'",
        'one that is only tried',
      ],
    ],
  );
}

async function autoScale(run: Run, poolId: string, flags: AutoScaleFlags): Promise<void> {
  if (flags.off === true) {
    await run.client.pools.disableAutoScale(poolId, { signal: run.signal });
    return run.output.done(`Pool ${poolId} keeps its size.`, { pool: poolId, enableAutoScale: false });
  }
  const change = await autoScaleChange(run, flags);
  if (Object.keys(change).length === 0)
    throw new ShoalError(
      'InvalidArgument',
      'Give --formula, --formula-file, --interval, --on-change or --off.',
      {
        Argument: '--formula',
      },
    );
  await run.client.pools.enableAutoScale(poolId, change, { signal: run.signal });
  await run.output.done(`Pool ${poolId} is sized by its formula.`, { pool: poolId, enableAutoScale: true });
}

async function explainAutoScale(run: Run, poolId: string, flags: FormulaFlags): Promise<void> {
  const formula = await formulaOf(run, flags);
  const explanation = await run.client.pools.explainAutoScale(poolId, formula, { signal: run.signal });
  if (run.output.format !== 'table') return run.output.record(explanation, []);
  await run.output.lines(explanationLines(run, explanation));
}

function explanationLines(run: Run, explanation: AutoScaleExplanation): readonly string[] {
  const { evaluation, heldBack } = explanation;
  const { statements, targets } = evaluation;
  return [
    ...(statements.length === 0 ? [] : statementTable(run, statements)),
    ...readLines(statements),
    '',
    sizeLine(
      'Dedicated',
      explanation.targetDedicatedNodes,
      targets.targetDedicatedNodes,
      explanation.currentDedicatedNodes,
    ),
    sizeLine(
      'Low-priority',
      explanation.targetLowPriorityNodes,
      targets.targetLowPriorityNodes,
      explanation.currentLowPriorityNodes,
    ),
    `Nodes that leave: ${targets.nodeDeallocationOption}.`,
    ...scheduleLines(explanation),
    ...(heldBack.length === 0 ? ['Nothing holds the pool back.'] : ['', 'What holds it back:']),
    ...heldBack.flatMap(({ rule, detail, remedy }) => [
      `  ${printable(rule)}: ${printable(detail)}`,
      `    ${printable(remedy)}`,
    ]),
  ];
}

function statementTable(run: Run, statements: readonly AutoScaleStatement[]): readonly string[] {
  return renderTable(
    [
      { title: 'LINE', value: (row) => row.line },
      { title: 'VALUE', value: (row) => row.value },
      { title: 'STATEMENT', value: (row) => row.text.replace(/\s+/g, ' '), shrinks: true },
    ],
    statements,
    run.output.style,
  );
}

function readLines(statements: readonly AutoScaleStatement[]): readonly string[] {
  const lines = statements.flatMap(({ line, reads }) =>
    reads.map(({ text, count, newest }) => {
      const samples = `${count > newest.length ? '… ' : ''}${newest.join(' ')}`;
      return `  line ${line}: ${printable(text.replace(/\s+/g, ' '))}: ${count === 1 ? samples : `${count} samples: ${samples}`}`;
    }),
  );
  return lines.length === 0 ? [] : ['', 'Samples, the newest last:', ...new Set(lines)];
}

function sizeLine(kind: string, target: number, wanted: number, current: number): string {
  const change = target === wanted ? `stays at ${target}` : `${target} -> ${wanted}`;
  return `${kind} nodes: target ${change}, ${current} there.`;
}

function scheduleLines({
  intervalMs,
  onChange,
  lastRun,
  evaluation,
}: AutoScaleExplanation): readonly string[] {
  if (intervalMs === undefined) return ['The pool is sized by hand.'];
  const last =
    lastRun === undefined
      ? ''
      : `, last ${age(Math.max(0, evaluation.timestampMs - lastRun.timestampMs))} ago`;
  return [
    `Evaluated every ${age(intervalMs)}${onChange === true ? ' and when its work changes' : ''}${last}.`,
  ];
}
