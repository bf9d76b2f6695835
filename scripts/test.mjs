/** Every check there is, one after another; the first word of what failed comes last. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(join(tmpdir(), 'shoal-test-'));
const results = join(scratch, 'vitest.json');
const bin = (name) => join(root, 'node_modules', '.bin', name);

const checks = [
  ['types', bin('tsc'), ['-p', '.']],
  ['lint and format', bin('biome'), ['ci', '--error-on-warnings', '.']],
  [
    'import law',
    bin('depcruise'),
    ['--config', '.dependency-cruiser.json', 'src', 'agent', 'coordinator', 'scripts', 'test'],
  ],
  ['unused code', bin('knip'), []],
  ['tests', bin('vitest'), ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${results}`]],
];

const failed = [];
for (const [name, command, words] of checks) {
  const startedAt = Date.now();
  process.stdout.write(`\n== ${name}\n`);
  const { status } = spawnSync(command, words, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${status === 0 ? 'ok' : 'FAILED'} ${name} (${seconds} s)\n`);
  if (status !== 0) failed.push(name);
}

const counts = readCounts();
rmSync(scratch, { recursive: true });
if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.join(', ')}\n`);
const broken = counts.failed + failed.filter((name) => name !== 'tests').length;
process.stdout.write(
  `\n${counts.passed + checks.length - 1 - failed.filter((name) => name !== 'tests').length} passed, ${broken} failed\n`,
);
process.exit(failed.length > 0 ? 1 : 0);

function readCounts() {
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(readFileSync(results, 'utf8'));
    return {
      passed: numPassedTests,
      failed: Math.max(numFailedTests, numFailedTestSuites > 0 && numFailedTests === 0 ? 1 : 0),
    };
  } catch {
    return { passed: 0, failed: 1 };
  }
}
