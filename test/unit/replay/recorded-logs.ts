/** Logs kept in test/fixtures/logs: for each version of the program a table of contents, and each log in one file. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  packSegment,
  readContents,
  recordedEntries,
  unpackSegment,
} from '../../../coordinator/driver/flight-record.ts';
import type { CommandBatch, CommandKind } from '../../../src/model/commands.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import type { LogEntry, Store } from '../../../src/store/interface.ts';
import { decode } from '../../../src/wire/codec.ts';

export const LOGS = join(import.meta.dirname, '..', '..', 'fixtures', 'logs');
export const RECORDS_ANEW = process.env.UPDATE_FIXTURES === '1';

export interface RecordedLog {
  /** Name of the file without its ending. */
  readonly name: string;
  readonly group: GroupId;
  /** The log begins behind this entry, with nothing in the state. */
  readonly start: { readonly index: number; readonly term: number };
  readonly appliedIndex: number;
  readonly stateHash: number;
}

/** The log of a group from its founding to its applied index; undefined where this store was not there from the founding on. */
export async function takeLog(
  store: Store,
  group: GroupId,
  name: string,
): Promise<{ log: RecordedLog; entries: readonly LogEntry[] } | undefined> {
  const stored = await store.loadGroup(group);
  const record = await readContents(store, group);
  const base = record.bases[0];
  if (stored === undefined || base?.rowsGroup !== null) return undefined;
  const { applied } = stored;
  const entries: LogEntry[] = [];
  for await (const entry of recordedEntries(store, group, record, base.meta.index, stored.entries))
    if (entry.index <= applied.index) entries.push(entry);
  const { index, term } = base.meta;
  return {
    log: { name, group, start: { index, term }, appliedIndex: applied.index, stateHash: applied.stateHash },
    entries,
  };
}

export async function saveLog(
  version: string,
  log: RecordedLog,
  entries: readonly LogEntry[],
): Promise<void> {
  const directory = join(LOGS, version);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${log.name}.log`), packSegment(entries));
  const { name, ...contents } = log;
  await writeFile(join(directory, `${name}.json`), `${JSON.stringify(contents, null, 2)}\n`);
}

export async function recordedVersions(): Promise<readonly string[]> {
  return (await readdir(LOGS)).sort();
}

export async function recordedLogs(version: string): Promise<readonly RecordedLog[]> {
  const directory = join(LOGS, version);
  const names = (await readdir(directory)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(
    names.map(async (file) => ({
      name: file.slice(0, -'.json'.length),
      ...(JSON.parse(await readFile(join(directory, file), 'utf8')) as Omit<RecordedLog, 'name'>),
    })),
  );
}

export async function entriesOf(version: string, { name }: RecordedLog): Promise<readonly LogEntry[]> {
  return unpackSegment(await readFile(join(LOGS, version, `${name}.log`)));
}

export function kindsIn(entries: readonly LogEntry[]): ReadonlySet<CommandKind> {
  const commands = entries.filter(({ kind }) => kind === 'command');
  return new Set(
    commands.flatMap(({ data }) =>
      (decode(data) as CommandBatch).commands.map(({ command }) => command.kind),
    ),
  );
}
