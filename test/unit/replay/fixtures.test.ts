/** Logs that earlier versions recorded end in the state they ended in then: what a log says never changes its meaning. */
import { describe, expect, test } from 'vitest';
import { Replay } from '../../../coordinator/driver/replay.ts';
import { VERSION } from '../../../src/lib/version.ts';
import type { CommandKind } from '../../../src/model/commands.ts';
import { recordMesh, recordPool } from './every-command.ts';
import { LoneHost } from './lone-host.ts';
import { RECORDED_SINCE } from './recorded-kinds.ts';
import {
  entriesOf,
  kindsIn,
  RECORDS_ANEW,
  recordedLogs,
  recordedVersions,
  saveLog,
  takeLog,
} from './recorded-logs.ts';

if (RECORDS_ANEW) {
  const host = await LoneHost.start();
  for (const [record, name] of [
    [recordMesh, 'every-mesh-command'],
    [recordPool, 'every-pool-command'],
  ] as const) {
    const { group } = await record(host);
    const taken = await takeLog(host.store, group, name);
    if (taken !== undefined) await saveLog(VERSION, taken.log, taken.entries);
  }
  await host.stop();
}

const versions = await recordedVersions();

describe.each(versions)('logs of version %s', async (version) => {
  test.each(await recordedLogs(version))('$name: is replayed to the state it ended in', async (log) => {
    const replay = new Replay(log.group);
    replay.beginEmpty(log.start);
    const entries = await entriesOf(version, log);
    for (const entry of entries) replay.apply(entry);
    replay.check();
    expect(replay.problems).toEqual([]);
    expect(entries.at(-1)?.index).toBe(log.appliedIndex);
    const promise =
      'an old log writes other rows than it did: see "Logs outlive versions" in docs/architecture.md';
    expect(replay.stateHash, promise).toBe(log.stateHash);
  });
});

test('every kind of command that is said to be recorded is in a log of that version, and no other', async () => {
  const found = new Map<string, ReadonlySet<CommandKind>>();
  for (const version of versions) {
    const kinds = new Set<CommandKind>();
    for (const log of await recordedLogs(version))
      for (const kind of kindsIn(await entriesOf(version, log))) kinds.add(kind);
    found.set(version, kinds);
  }
  const missing = Object.entries(RECORDED_SINCE).filter(
    ([kind, since]) => since !== null && found.get(since)?.has(kind as CommandKind) !== true,
  );
  const unsaid = Object.entries(RECORDED_SINCE).filter(
    ([kind, since]) => since === null && [...found.values()].some((kinds) => kinds.has(kind as CommandKind)),
  );
  expect({ missing, unsaid }, 'see recorded-kinds.ts for what to do').toEqual({ missing: [], unsaid: [] });
});
