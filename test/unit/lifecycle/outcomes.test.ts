import { expect, test } from 'vitest';
import { endingOf } from '../../../agent/lifecycle/outcomes.ts';
import type { Exit } from '../../../agent/runner/interface.ts';

const EXIT: Exit = {
  key: { pool: 'p', job: 1, task: 1, epoch: 1 },
  node: 'n',
  reason: 'exited',
  exitCode: 0,
  startedAtMs: 1,
  endedAtMs: 2,
  message: undefined,
  stdoutBytes: 0,
  stderrBytes: 0,
  stdoutInline: undefined,
  stderrInline: undefined,
};

test.each(['wallClock', 'outputTooLarge', 'memoryExceeded'] as const)(
  'what is killed for %s never has exit code 0, even if it ended by itself in that moment',
  (reason) => {
    expect(endingOf({ ...EXIT, reason })).toMatchObject({ exitCode: 137, failure: expect.anything() });
    expect(endingOf({ ...EXIT, reason, exitCode: 3 })).toMatchObject({ exitCode: 3 });
  },
);

test('what exits with 0 by itself has no failure', () => {
  expect(endingOf(EXIT)).toMatchObject({ kind: 'exited', exitCode: 0 });
  expect(endingOf(EXIT)).not.toHaveProperty('failure');
});
