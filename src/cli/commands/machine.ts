import type { Command } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import type { MachineEntity } from '../../model/queries.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, bytes, toneOf } from '../cells.ts';
import { withExamples } from '../examples.ts';
import type { Column } from '../table.ts';
import { nonEmpty } from '../values.ts';

const COLUMNS: readonly Column<MachineEntity>[] = [
  { title: 'NAME', value: (row) => row.name },
  {
    title: 'STATE',
    value: machineState,
    tone: (row) => (row.alive ? (toneOf(row.scheduling) ?? 'good') : 'bad'),
  },
  { title: 'CORES', value: (row) => row.capacity.cores },
  { title: 'MEMORY', value: (row) => bytes(row.capacity.memoryBytes) },
  { title: 'GPUS', value: (row) => row.capacity.gpus },
  { title: 'NODES', value: (row) => row.nodes.length },
  { title: 'VOTES', value: (row) => row.votesIn.length },
  { title: 'ISOLATION', value: (row) => row.capacity.isolation },
  { title: 'LABELS', value: (row) => row.capacity.labels.join(','), shrinks: true },
];

export function addMachineCommands(program: Command, context: CliContext): void {
  const machine = program.command('machine').description('the machines of the mesh');

  withExamples(
    machine
      .command('list')
      .description('every machine, whether it is up and what it offers')
      .action(
        action(context, async (run) => {
          await run.output.rows(await run.client.mesh.machines({ signal: run.signal }), COLUMNS);
        }),
      ),
    [['shoal machine list', 'all members']],
  );

  withExamples(
    machine
      .command('show')
      .description('one machine in full')
      .argument('<machine>', 'name or id', nonEmpty)
      .action(action<[string]>(context, showMachine)),
    [['shoal machine show render01', 'its addresses, nodes and votes']],
  );

  withExamples(
    machine
      .command('drain')
      .description('let the machine finish what it runs and give it nothing new')
      .argument('<machine>', 'name or id', nonEmpty)
      .action(
        action<[string]>(context, async (run, name) => {
          await run.client.mesh.drain(name, { signal: run.signal });
          await run.output.done(`${name} is draining.`, { machine: name, scheduling: 'draining' });
        }),
      ),
    [['shoal machine drain render01', 'before maintenance']],
  );

  withExamples(
    machine
      .command('undrain')
      .description('give the machine work again')
      .argument('<machine>', 'name or id', nonEmpty)
      .action(
        action<[string]>(context, async (run, name) => {
          await run.client.mesh.undrain(name, { signal: run.signal });
          await run.output.done(`${name} takes work again.`, { machine: name, scheduling: 'enabled' });
        }),
      ),
    [['shoal machine undrain render01', 'after maintenance']],
  );

  withExamples(
    machine
      .command('remove')
      .description('take the machine out of the mesh: its connections are cut, its tasks run elsewhere')
      .argument('<machine>', 'name or id', nonEmpty)
      .action(
        action<[string]>(context, async (run, name) => {
          await run.client.mesh.remove(name, { signal: run.signal });
          await run.output.done(`${name} is no member any more.`, { machine: name, removed: true });
        }),
      ),
    [['shoal machine remove render01', 'it needs a new join token to come back']],
  );
}

async function showMachine(run: Run, wanted: string): Promise<void> {
  const machines = await run.client.mesh.machines({ signal: run.signal });
  const found = machines.find((one) => one.name === wanted || one.id === wanted || one.peer === wanted);
  if (found === undefined) {
    throw new ShoalError('MachineNotFound', `No machine of the mesh has the name or id "${wanted}".`);
  }
  await run.output.record(found, [
    ['name', found.name],
    ['id', found.id],
    ['state', machineState(found)],
    ['version', found.version],
    ['joined', `${ago(found.joinedAtMs, Date.now())} ago`],
    ['addresses', found.addresses.join(', ')],
    ['cores', found.capacity.cores],
    ['memory', bytes(found.capacity.memoryBytes)],
    ['disk', bytes(found.capacity.diskBytes)],
    ['gpus', found.capacity.gpus],
    ['labels', found.capacity.labels.join(', ')],
    ['isolation', found.capacity.isolation],
    ['system', found.capacity.operatingSystem],
    ['containers', found.capacity.containerEngine ?? 'no engine'],
    ['nodes', found.nodes.join(', ')],
    ['votes in', found.votesIn.join(', ')],
  ]);
}

function machineState(machine: MachineEntity): string {
  if (!machine.alive) return 'lost';
  return machine.scheduling === 'draining' ? 'draining' : 'up';
}
