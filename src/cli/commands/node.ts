import { type Command, Option } from 'commander';
import type { NodeResource, NodeTaskRunResource } from '../../client/shapes.ts';
import type { NodeRestart } from '../../model/node-task.ts';
import type { NodeDeallocationOption } from '../../model/pool.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, bytes, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import type { Column } from '../table.ts';
import { nonEmpty } from '../values.ts';

export const NODE_COLUMNS: readonly Column<NodeResource>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'STATE', value: (row) => row.state, tone: (row) => toneOf(row.state) },
  {
    title: 'SCHEDULING',
    value: (row) => row.schedulingState,
    tone: (row) => toneOf(row.schedulingState),
  },
  { title: 'KIND', value: nodeKind },
  { title: 'RUNNING', value: (row) => row.runningTasksCount },
  { title: 'SLOTS', value: (row) => slotsUsed(row) },
  { title: 'TASKS RUN', value: (row) => row.totalTasksRun },
  { title: 'SINCE', value: (row) => ago(row.stateTransitionTime, Date.now()) },
];

/** `failure, exit code 1 (FailureExitCode)`; undefined where there was no run. */
export function describeRun(run: NodeTaskRunResource | undefined): string | undefined {
  if (run?.state !== 'completed') return run?.state;
  const exit = run.exitCode === undefined ? '' : `, exit code ${run.exitCode}`;
  const code = run.failureInfo?.code === undefined ? '' : ` (${run.failureInfo.code})`;
  return `${run.result ?? run.state}${exit}${code}`;
}

/** A node of any pool is named by its pool and its id, as in Azure Batch. */
interface PooledNode extends NodeResource {
  readonly poolId: string;
}

const POOLED_COLUMNS: readonly Column<PooledNode>[] = [
  { title: 'POOL', value: (row) => row.poolId },
  ...NODE_COLUMNS,
];

export const DEALLOCATION_OPTIONS = [
  'requeue',
  'terminate',
  'taskcompletion',
  'retaineddata',
] as const satisfies readonly NodeDeallocationOption[];

const DISABLE_OPTIONS = ['requeue', 'terminate', 'taskcompletion'] as const;
type DisableOption = (typeof DISABLE_OPTIONS)[number];

export function addNodeCommands(program: Command, context: CliContext): void {
  const node = program.command('node').description('compute nodes: the parts of machines that pools have');

  withExamples(
    node
      .command('list')
      .description('the nodes of every pool, or of one')
      .option('--pool <pool>', 'only those of this pool', nonEmpty)
      .action(
        action<[{ pool?: string }]>(context, async (run, { pool }) => {
          await run.output.rows(pooledNodes(run, pool), POOLED_COLUMNS);
        }),
      ),
    [
      ['shoal node list', 'all nodes'],
      ['shoal node list --pool render', 'those of one pool'],
    ],
  );

  withExamples(
    node
      .command('show')
      .description('one node in full')
      .argument('<pool>', 'id of its pool', nonEmpty)
      .argument('<node>', 'id', nonEmpty)
      .action(action<[string, string]>(context, showNode)),
    [['shoal node show default render01', 'its state and counts']],
  );

  withExamples(
    node
      .command('disable')
      .description('give the node no new tasks')
      .argument('<pool>', 'id of its pool', nonEmpty)
      .argument('<node>', 'id', nonEmpty)
      .addOption(
        new Option('--running <how>', 'what becomes of the tasks it runs')
          .choices(DISABLE_OPTIONS)
          .default('requeue'),
      )
      .action(
        action<[string, string, { running: DisableOption }]>(
          context,
          async (run, pool, nodeId, { running }) => {
            await run.client.pools.disableNode(pool, nodeId, running, { signal: run.signal });
            await run.output.done(`Node ${nodeId} takes no new tasks.`, {
              node: nodeId,
              schedulingState: 'disabled',
            });
          },
        ),
      ),
    [['shoal node disable default render01 --running taskcompletion', 'let it finish first']],
  );

  withExamples(
    node
      .command('enable')
      .description('give the node tasks again')
      .argument('<pool>', 'id of its pool', nonEmpty)
      .argument('<node>', 'id', nonEmpty)
      .action(
        action<[string, string]>(context, async (run, pool, nodeId) => {
          await run.client.pools.enableNode(pool, nodeId, { signal: run.signal });
          await run.output.done(`Node ${nodeId} takes tasks again.`, {
            node: nodeId,
            schedulingState: 'enabled',
          });
        }),
      ),
    [['shoal node enable default render01', 'after `node disable`']],
  );

  addRestart(node, context, 'reboot', 'run the start task of a node anew, as after a reboot');
  addRestart(node, context, 'reimage', 'empty the directory of a node, then run its start task anew');
}

function addRestart(node: Command, context: CliContext, how: NodeRestart, description: string): void {
  withExamples(
    node
      .command(how)
      .description(description)
      .argument('<pool>', 'id of its pool', nonEmpty)
      .argument('<node>', 'id', nonEmpty)
      .addOption(
        new Option('--running <how>', 'what becomes of the tasks it runs')
          .choices(DEALLOCATION_OPTIONS)
          .default('requeue'),
      )
      .action(
        action<[string, string, { running: NodeDeallocationOption }]>(
          context,
          async (run, pool, nodeId, { running }) => {
            await run.client.pools.restartNode(pool, nodeId, how, running, { signal: run.signal });
            const state = how === 'reboot' ? 'rebooting' : 'reimaging';
            await run.output.done(`Node ${nodeId} is ${state}.`, { node: nodeId, state });
          },
        ),
      ),
    [[`shoal node ${how} default render01 --running taskcompletion`, 'let it finish first']],
  );
}

async function* pooledNodes(run: Run, only: string | undefined): AsyncGenerator<PooledNode> {
  const pools =
    only === undefined ? run.client.pools.list({ select: ['id'], signal: run.signal }) : [{ id: only }];
  for await (const pool of pools) {
    for await (const node of run.client.pools.nodes(pool.id, { signal: run.signal })) {
      yield { poolId: pool.id, ...node };
    }
  }
}

async function showNode(run: Run, pool: string, nodeId: string): Promise<void> {
  const found = await run.client.pools.node(pool, nodeId, { signal: run.signal });
  await run.output.record(found, [
    ['id', found.id],
    ['pool', pool],
    ['state', found.state],
    ['scheduling', found.schedulingState],
    ['kind', nodeKind(found)],
    ['size', found.vmSize],
    ['machine', found.shoal?.machine],
    ['cores', found.shoal?.cores],
    ['memory', bytes(found.shoal?.memoryBytes)],
    ['slots', found.shoal?.slots],
    ['labels', found.shoal?.labels.join(', ')],
    ['address', found.ipAddress],
    ['affinity id', found.affinityId],
    ['allotted', found.allocationTime],
    ['state since', found.stateTransitionTime],
    ['booted', found.lastBootTime],
    ['start task', describeRun(found.startTaskInfo)],
    ['errors', found.errors?.map(({ code, message }) => `${code}: ${message}`).join('; ')],
    ['running tasks', found.runningTasksCount],
    ['slots used', found.runningTaskSlotsCount],
    ['waiting tasks', found.shoal?.waitingTasks],
    ['tasks run', found.totalTasksRun],
    ['tasks succeeded', found.totalTasksSucceeded],
  ]);
}

/** `3/8`: those taken of those there are. */
function slotsUsed(row: NodeResource): string | undefined {
  const used = row.runningTaskSlotsCount;
  return used === undefined || row.shoal === undefined ? undefined : `${used}/${row.shoal.slots}`;
}

function nodeKind(row: NodeResource): string | undefined {
  if (row.isDedicated === undefined) return undefined;
  return row.isDedicated ? 'dedicated' : 'low priority';
}
