import type { Command } from 'commander';
import { EVENTS_IDLE_MS } from '../../lib/limits.ts';
import type { MeshEvent } from '../../model/control.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { withExamples } from '../examples.ts';
import { printable } from '../terminal-text.ts';
import { nonEmpty } from '../values.ts';

interface EventFlags {
  readonly follow?: true;
  readonly kind?: string;
}

export function addEventsCommand(program: Command, context: CliContext): void {
  withExamples(
    program
      .command('events')
      .description('what happens in the mesh, on all machines')
      .option('-f, --follow', 'go on until interrupted')
      .option('--kind <prefix>', 'only kinds that begin like this, such as task or node.lost', nonEmpty)
      .action(action<[EventFlags]>(context, showEvents)),
    [
      ['shoal events', 'what happens just now'],
      ['shoal events -f --kind node', 'nodes that come, go and fail'],
    ],
  );
}

async function showEvents(run: Run, { follow, kind }: EventFlags): Promise<void> {
  const idle = new AbortController();
  const ends = follow === true ? undefined : idle;
  let shown = 0;
  let timer = armed(ends);
  try {
    for await (const event of run.client.mesh.events({
      signal: AbortSignal.any([run.signal, idle.signal]),
    })) {
      clearTimeout(timer);
      timer = armed(ends);
      if (kind !== undefined && !event.kind.startsWith(kind)) continue;
      await showEvent(run, event);
      shown += 1;
    }
  } catch (error) {
    if (!idle.signal.aborted || run.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  if (shown === 0 && run.output.format === 'table')
    await run.note('Nothing happens just now; -f waits for what will.');
}

/** The stream has no end of its own: a silence is one. */
function armed(idle: AbortController | undefined): NodeJS.Timeout | undefined {
  return idle === undefined ? undefined : setTimeout(() => idle.abort(), EVENTS_IDLE_MS);
}

/** A list of events has no end, so that JSON is one event a line in both JSON formats. */
async function showEvent(run: Run, event: MeshEvent): Promise<void> {
  if (run.output.format !== 'table') return run.output.text(`${JSON.stringify(event)}\n`);
  const time = new Date(event.timeMs).toISOString();
  await run.output.text(
    `${time}  ${printable(event.machine)}  ${printable(event.kind)}  ${printable(event.message)}\n`,
  );
}
