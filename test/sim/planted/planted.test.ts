import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { PLANTED_BUGS } from './bugs.ts';
import { bundleWith } from './bundle.ts';
import { complaintsWithoutBugs, type Finding, hunt } from './hunt.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
/** A minute on a machine of its own with two cores. */
const HUNT_MS_MAX = 600_000;

describe('the simulation', () => {
  const findings = new Map<string, Finding>();

  beforeAll(async () => {
    for (const finding of await hunt(ROOT, PLANTED_BUGS)) findings.set(finding.bug.name, finding);
  }, HUNT_MS_MAX);

  test.each(PLANTED_BUGS.map((bug) => [bug.name, bug.world, bug.seedsMax, bug] as const))(
    'finds that %s, in %s worlds, within %i seeds',
    (name, _world, seedsMax, { breaks }) => {
      const { caught, others } = findings.get(name) ?? {};
      expect(caught, `other complaints: ${others?.map(({ message }) => message).join('\n')}`).toBeDefined();
      expect(breaks).toContain(caught?.rule);
      expect(caught?.seed).toBeLessThanOrEqual(seedsMax);
    },
  );

  test(
    'has nothing to complain about in the same worlds without the bugs',
    async () => {
      expect(await complaintsWithoutBugs(ROOT, [...findings.values()])).toEqual([]);
    },
    HUNT_MS_MAX,
  );
});

describe('a planted bug', () => {
  const file = 'coordinator/consensus/log.ts';

  test('must change what is there', async () => {
    const changes = [{ file, find: 'what nobody wrote', replace: '' }];
    await expect(bundleWith(ROOT, changes)).rejects.toThrow('0 times, not once');
  });

  test('must say which of several places it changes', async () => {
    const changes = [{ file, find: 'this.', replace: '' }];
    await expect(bundleWith(ROOT, changes)).rejects.toThrow(/\d+ times, not once/);
  });

  test('must be in a file that the simulation runs', async () => {
    const changes = [{ file: 'src/cli/completion.ts', find: "['bash', 'zsh', 'fish']", replace: '[]' }];
    await expect(bundleWith(ROOT, changes)).rejects.toThrow('does not use');
  });
});
