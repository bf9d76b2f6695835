import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { executionName } from '../../../agent/runner/execution-key.ts';
import type { Exit } from '../../../agent/runner/interface.ts';
import { Journal } from '../../../agent/runner/journal.ts';
import { encodePayload } from '../../../agent/runner/protocol.ts';
import { RUNNER_JOURNAL_BYTES_MAX, RUNNER_JOURNAL_RESET_BYTES } from '../../../src/lib/limits.ts';
import { fc } from '../../support/properties.ts';
import { key } from './harness.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'shoal-journal-'));
  path = join(directory, 'journal');
});
afterEach(() => rmSync(directory, { recursive: true }));

const exit = (task: number, inlineBytes = 3): Exit => ({
  key: key(task),
  node: 'node',
  reason: 'exited',
  exitCode: task % 3,
  startedAtMs: 1,
  endedAtMs: 2,
  message: undefined,
  stdoutBytes: inlineBytes,
  stderrBytes: 0,
  stdoutInline: new Uint8Array(inlineBytes).fill(task),
  stderrInline: new Uint8Array(0),
});

const report = (...exits: Exit[]): Buffer => encodePayload({ type: 'report', started: [], exits });

function reopen(): Exit[] {
  const { journal, exits } = Journal.open(path);
  journal.close();
  return exits;
}

const namesOf = (exits: readonly Exit[]): string[] => exits.map((one) => executionName(one.key));

describe('the journal', () => {
  it('gives back the unacknowledged exits, whole and in order', () => {
    const { journal } = Journal.open(path);
    journal.reported(report(exit(1), exit(2)));
    journal.reported(report(exit(3)));
    journal.acknowledged([key(2)]);
    journal.close();
    const exits = reopen();
    expect(namesOf(exits)).toEqual(namesOf([exit(1), exit(3)]));
    expect(Buffer.from(exits[0]?.stdoutInline ?? [])).toEqual(Buffer.from([1, 1, 1]));
    expect(exits[0]).toMatchObject({ exitCode: 1, message: undefined });
  });

  it('cuts off a torn or damaged tail and goes on behind what is sound', () => {
    fc.assert(
      fc.property(fc.nat(), fc.boolean(), (position, isTorn) => {
        rmSync(path, { force: true });
        const first = Journal.open(path).journal;
        first.reported(report(exit(1)));
        const soundBytes = statSync(path).size;
        first.reported(report(exit(2)));
        first.close();
        const bytes = readFileSync(path);
        const at = soundBytes + (position % (bytes.length - soundBytes));
        if (isTorn) writeFileSync(path, bytes.subarray(0, at));
        else writeFileSync(path, bytes.fill((bytes[at] ?? 0) ^ 0x40, at, at + 1));
        const second = Journal.open(path);
        expect(namesOf(second.exits)).toEqual(namesOf([exit(1)]));
        second.journal.reported(report(exit(3)));
        second.journal.close();
        expect(namesOf(reopen())).toEqual(namesOf([exit(1), exit(3)]));
      }),
      { numRuns: 60 },
    );
  });

  it('survives any garbage in its place', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        writeFileSync(path, garbage);
        const { journal } = Journal.open(path);
        journal.reported(report(exit(7)));
        journal.close();
        expect(namesOf(reopen())).toEqual(namesOf([exit(7)]));
      }),
      { numRuns: 50 },
    );
  });

  it('is emptied when everything in it is acknowledged', () => {
    const { journal } = Journal.open(path);
    for (let task = 0; statSync(path).size <= RUNNER_JOURNAL_RESET_BYTES; task += 1) {
      journal.reported(report(exit(task, 1000)));
      journal.acknowledged([key(task)]);
    }
    journal.compact(new Map());
    expect(statSync(path).size).toBe(0);
    journal.reported(report(exit(1)));
    journal.close();
    expect(namesOf(reopen())).toEqual(namesOf([exit(1)]));
  });

  it('keeps only what is unacknowledged when it is rewritten, and can be written on', () => {
    const { journal } = Journal.open(path);
    const many = Array.from({ length: 500 }, (_, task) => exit(task, 1000));
    while (statSync(path).size <= RUNNER_JOURNAL_BYTES_MAX) journal.reported(report(...many));
    const kept = exit(3);
    journal.compact(new Map([[executionName(kept.key), kept]]));
    expect(statSync(path).size).toBeLessThan(1000);
    journal.reported(report(exit(9)));
    journal.close();
    appendFileSync(path, Buffer.from([0, 0, 0]));
    expect(namesOf(reopen())).toEqual(namesOf([exit(3), exit(9)]));
  });
});
