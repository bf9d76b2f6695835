import { type Command, Option } from 'commander';
import type { PoolResource } from '../../client/shapes.ts';
import { ShoalError } from '../../lib/errors.ts';
import { POOL_NODES_MAX, TASK_SLOTS_PER_NODE_MAX } from '../../lib/limits.ts';
import { describeReference } from '../../model/application.ts';
import type { ApplicationPackageReference } from '../../model/application-schema.ts';
import type { AutoScaleChange, NodeDeallocationOption, PoolSpec } from '../../model/pool.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import type { Column } from '../table.ts';
import { collect, duration, id, integer, nonEmpty, packages, type Setting, settings } from '../values.ts';
import { DEALLOCATION_OPTIONS, NODE_COLUMNS } from './node.ts';
import {
  addAutoScaleCommands,
  addFormulaFlags,
  addScheduleFlags,
  autoScaleChange,
  type FormulaFlags,
} from './pool-autoscale.ts';

const COLUMNS: readonly Column<PoolResource>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: poolState, tone: (row) => toneOf(poolState(row)) },
  { title: 'SIZE', value: (row) => row.vmSize },
  { title: 'DEDICATED', value: dedicatedNodes },
  { title: 'LOW PRIORITY', value: lowPriorityNodes },
  { title: 'SLOTS', value: slotsPerNode },
  { title: 'AGE', value: (row) => ago(row.creationTime, Date.now()) },
  { title: 'RESIZE ERROR', value: (row) => row.resizeErrors?.[0]?.message, shrinks: true, tone: () => 'bad' },
];

interface CreateOptions extends FormulaFlags {
  readonly size: string;
  readonly nodes?: number;
  readonly lowPriority?: number;
  readonly everyMachine?: true;
  readonly slots?: number;
  readonly slotsFromCores?: true;
  readonly multiInstance?: true;
  readonly fill?: 'spread' | 'pack';
  readonly label?: readonly string[];
  readonly app?: readonly ApplicationPackageReference[];
  readonly metadata?: readonly Setting[];
  readonly startTask?: string;
}

interface ResizeOptions {
  readonly nodes?: number;
  readonly lowPriority?: number;
  readonly leaving?: NodeDeallocationOption;
  readonly timeout?: string;
}

export function addPoolCommands(program: Command, context: CliContext): void {
  const pool = program.command('pool').description('pools: sets of like nodes on the machines of the mesh');
  addCreate(pool, context);

  withExamples(
    pool
      .command('list')
      .description('every pool and how many nodes it has of those it wants')
      .action(
        action(context, async (run) => {
          await run.output.rows(run.client.pools.list({ signal: run.signal }), COLUMNS);
        }),
      ),
    [['shoal pool list', 'all pools']],
  );

  withExamples(
    pool
      .command('show')
      .description('one pool in full')
      .argument('<pool>', 'id', nonEmpty)
      .action(action<[string]>(context, showPool)),
    [['shoal pool show default', 'its size, nodes and resize errors']],
  );

  addResize(pool, context);
  addAutoScaleCommands(pool, context);

  withExamples(
    pool
      .command('delete')
      .description('delete a pool; its running tasks are requeued and its jobs wait')
      .argument('<pool>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, poolId) => {
          await run.client.pools.delete(poolId, { signal: run.signal });
          await run.output.done(`Pool ${poolId} is being deleted.`, { pool: poolId, state: 'deleting' });
        }),
      ),
    [['shoal pool delete render', 'its machines serve other pools']],
  );

  withExamples(
    pool
      .command('nodes')
      .description('the nodes of a pool')
      .argument('<pool>', 'id', nonEmpty)
      .action(
        action<[string]>(context, async (run, poolId) => {
          await run.output.rows(run.client.pools.nodes(poolId, { signal: run.signal }), NODE_COLUMNS);
        }),
      ),
    [['shoal pool nodes default', 'what each of them does']],
  );
}

function addCreate(pool: Command, context: CliContext): void {
  const create = pool
    .command('create')
    .description('make a pool')
    .argument('<pool>', 'its id', id)
    .option(
      '--size <size>',
      "`machine`, `shoal.<cores>c<GiB>g`, or one of Azure's names",
      nonEmpty,
      'machine',
    )
    .option('--nodes <n>', 'dedicated nodes wanted', integer(0, POOL_NODES_MAX))
    .option(
      '--low-priority <n>',
      'low-priority nodes wanted, which give way to dedicated ones',
      integer(0, POOL_NODES_MAX),
    )
    .option('--every-machine', 'a node on every machine, also on those that join later')
    .addOption(slotsOption())
    .option('--slots-from-cores', 'as many slots as the node has cores')
    .addOption(
      new Option(
        '--multi-instance',
        'takes tasks of several instances, a node each (enableInterNodeCommunication)',
      ).conflicts(['slots', 'slotsFromCores']),
    )
    .addOption(new Option('--fill <how>', 'how tasks are placed').choices(['spread', 'pack']))
    .option('--label <label>', 'only on machines with this label (repeatable)', collect)
    .option(
      '--start-task <command>',
      'what every node runs before its first task, and again after a restart',
      nonEmpty,
    )
    .option('--app <app[:version]>', 'this application package on its nodes (repeatable)', packages)
    .option('--metadata <name=value>', 'kept with the pool (repeatable)', settings);
  addScheduleFlags(addFormulaFlags(create)).action(
    action<[string, CreateOptions]>(context, async (run, poolId, options) => {
      const formula = await autoScaleChange(run, options);
      await run.client.pools.add(poolSpec(poolId, options, formula), { signal: run.signal });
      await run.output.done(`Pool ${poolId} is made.`, { pool: poolId, state: 'active' });
    }),
  );
  withExamples(create, [
    [
      "shoal pool create burst --formula '$TargetDedicatedNodes = min(8, $NodesForPendingTasks)' --on-change",
      'grows and shrinks with its work',
    ],
    ['shoal pool create render --nodes 4 --size shoal.8c16g', 'four nodes of 8 cores and 16 GiB'],
    ['shoal pool create night --every-machine --slots-from-cores', 'all machines, a slot a core'],
    ['shoal pool create mpi --nodes 4 --multi-instance', 'nodes that run one task together'],
    ['shoal pool create tex --start-task /opt/site/prepare-node', 'nodes that prepare themselves'],
  ]);
}

function slotsOption(): Option {
  return new Option('--slots <n>', 'tasks that one node runs at the same time')
    .argParser(integer(1, TASK_SLOTS_PER_NODE_MAX))
    .conflicts('slotsFromCores');
}

function addResize(pool: Command, context: CliContext): void {
  const resize = pool
    .command('resize')
    .description('change how many nodes a pool wants')
    .argument('<pool>', 'id', nonEmpty)
    .option('--nodes <n>', 'dedicated nodes wanted', integer(0, POOL_NODES_MAX))
    .option('--low-priority <n>', 'low-priority nodes wanted', integer(0, POOL_NODES_MAX))
    .addOption(
      new Option('--leaving <how>', 'what becomes of the tasks of nodes that leave').choices(
        DEALLOCATION_OPTIONS,
      ),
    )
    .option('--timeout <time>', 'how long to try before the pool says what it lacks', duration)
    .action(
      action<[string, ResizeOptions]>(context, async (run, poolId, options) => {
        if (options.nodes === undefined && options.lowPriority === undefined) {
          throw new ShoalError('InvalidArgument', 'Give --nodes, --low-priority or both.', {
            Argument: '--nodes',
          });
        }
        const change = {
          ...(options.nodes === undefined ? {} : { targetDedicatedNodes: options.nodes }),
          ...(options.lowPriority === undefined ? {} : { targetLowPriorityNodes: options.lowPriority }),
          ...(options.leaving === undefined ? {} : { nodeDeallocationOption: options.leaving }),
          ...(options.timeout === undefined ? {} : { resizeTimeout: options.timeout }),
        };
        await run.client.pools.resize(poolId, change, { signal: run.signal });
        await run.output.done(`Pool ${poolId} is being resized.`, {
          pool: poolId,
          allocationState: 'resizing',
        });
      }),
    );
  withExamples(resize, [
    ['shoal pool resize render --nodes 8', 'four more'],
    ['shoal pool resize render --nodes 0 --leaving taskcompletion', 'let running tasks end first'],
  ]);
}

/** Without any wish for nodes a pool would stand empty and its jobs wait for ever: then one dedicated node is meant. */
function poolSpec(poolId: string, options: CreateOptions, formula: AutoScaleChange): PoolSpec {
  const scaled = Object.keys(formula).length > 0;
  const wished =
    scaled ||
    options.nodes !== undefined ||
    options.lowPriority !== undefined ||
    options.everyMachine === true;
  return {
    id: poolId,
    vmSize: options.size,
    ...(wished ? {} : { targetDedicatedNodes: 1 }),
    ...(scaled ? { enableAutoScale: true, ...formula } : {}),
    ...(options.nodes === undefined ? {} : { targetDedicatedNodes: options.nodes }),
    ...(options.lowPriority === undefined ? {} : { targetLowPriorityNodes: options.lowPriority }),
    ...(options.everyMachine === undefined ? {} : { everyMachine: true }),
    ...(options.slots === undefined ? {} : { taskSlotsPerNode: options.slots }),
    ...(options.slotsFromCores === undefined ? {} : { slotsFromCores: true }),
    ...(options.multiInstance === undefined ? {} : { enableInterNodeCommunication: true }),
    ...(options.fill === undefined ? {} : { taskSchedulingPolicy: { nodeFillType: options.fill } }),
    ...(options.label === undefined ? {} : { requiredLabels: [...options.label] }),
    ...(options.startTask === undefined ? {} : { startTask: { commandLine: options.startTask } }),
    ...(options.app === undefined ? {} : { applicationPackageReferences: [...options.app] }),
    ...(options.metadata === undefined ? {} : { metadata: [...options.metadata] }),
  };
}

async function showPool(run: Run, poolId: string): Promise<void> {
  const found = await run.client.pools.get(poolId, { signal: run.signal });
  await run.output.record(found, [
    ['id', found.id],
    ['display name', found.displayName],
    ['state', found.state],
    ['allocation', found.allocationState],
    ['size', found.vmSize],
    ['dedicated nodes', dedicatedNodes(found)],
    ['low-priority nodes', lowPriorityNodes(found)],
    ['slots a node', slotsPerNode(found)],
    ['start task', found.startTask?.commandLine],
    ['formula', found.autoScaleFormula],
    ['evaluated', schedule(found)],
    [
      'last evaluation',
      found.autoScaleRun && `${found.autoScaleRun.timestamp}: ${outcomeOf(found.autoScaleRun)}`,
    ],
    ['made', found.creationTime],
    ['application packages', found.applicationPackageReferences?.map(describeReference).join(', ')],
    ['metadata', found.metadata?.map(({ name, value }) => `${name}=${value}`).join(', ')],
    ['resize errors', found.resizeErrors?.map(({ code, message }) => `${code}: ${message}`).join('; ')],
  ]);
}

function schedule({ autoScaleEvaluationInterval, autoScaleOnChange }: PoolResource): string | undefined {
  if (autoScaleEvaluationInterval === undefined) return undefined;
  const onChange = autoScaleOnChange === true ? ', and when its work changes' : '';
  return `every ${autoScaleEvaluationInterval}${onChange}`;
}

function outcomeOf({ results, error }: NonNullable<PoolResource['autoScaleRun']>): string | undefined {
  return error === undefined ? results : error.values?.map(({ value }) => value).join('; ');
}

function poolState(row: PoolResource): string | undefined {
  return row.state === 'deleting' ? row.state : (row.allocationState ?? row.state);
}

function dedicatedNodes(row: PoolResource): string | undefined {
  return ofTarget(row.currentDedicatedNodes, row.targetDedicatedNodes);
}

function lowPriorityNodes(row: PoolResource): string | undefined {
  return row.everyMachine === true
    ? `${row.currentLowPriorityNodes ?? 0}/all`
    : ofTarget(row.currentLowPriorityNodes, row.targetLowPriorityNodes);
}

function slotsPerNode(row: PoolResource): string | number | undefined {
  return row.slotsFromCores === true ? 'cores' : row.taskSlotsPerNode;
}

/** `3/4`: what there is of what is wanted. */
function ofTarget(current: number | undefined, target: number | undefined): string | undefined {
  return target === undefined ? undefined : `${current ?? 0}/${target}`;
}
