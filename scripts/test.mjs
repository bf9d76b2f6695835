/**
 * Every check there is, in two lanes side by side: what computes, and the end-to-end tests, which mostly wait. The first
 * lane is heard at once, the second when it ends; what failed is said once more behind both.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(join(tmpdir(), 'shoal-test-'));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const program = join(root, 'dist', 'shoal.js');

const vitest = (name, project) => ({
  name,
  command: bin('vitest'),
  words: [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${results(name)}`,
  ],
  // Built before; nobody builds it anew while others run it.
  env: { ...process.env, SHOAL_PROGRAM: process.env.SHOAL_PROGRAM ?? program },
  countsTests: true,
});
const folders = ['src', 'agent', 'coordinator', 'scripts', 'test'];
const lanes = [
  {
    heard: true,
    checks: [
      { name: 'types', command: bin('tsc'), words: ['-p', '.'] },
      { name: 'lint and format', command: bin('biome'), words: ['ci', '--error-on-warnings', '.'] },
      {
        name: 'import law',
        command: bin('depcruise'),
        words: ['--config', '.dependency-cruiser.json', ...folders],
      },
      { name: 'unused code', command: bin('knip'), words: [] },
      vitest('modules and worlds', 'modules'),
    ],
  },
  { heard: false, checks: [vitest('end to end', 'e2e')] },
];

const outcomes = (await Promise.all(lanes.map(runLane))).flat();
rmSync(scratch, { recursive: true });
const failed = outcomes.filter(({ ok }) => !ok);
if (failed.length > 0) process.stdout.write(`\nfailed: ${failed.map(({ name }) => name).join(', ')}\n`);
const sum = (key) => outcomes.reduce((total, outcome) => total + outcome[key], 0);
process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed\n`);
process.exit(failed.length > 0 ? 1 : 0);

async function runLane({ heard, checks }) {
  const ended = [];
  for (const check of checks) ended.push(await run(check, heard));
  return ended;
}

async function run({ name, command, words, env, countsTests }, heard) {
  const startedAt = Date.now();
  const child = spawn(command, words, {
    cwd: root,
    env: env ?? process.env,
    stdio: heard ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
  });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => said.push(bytes));
  const status = await new Promise((resolve) => {
    child.once('error', (error) => {
      said.push(Buffer.from(`${error.message}\n`));
      resolve(-1);
    });
    child.once('close', resolve);
  });
  const ok = status === 0;
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(
    `\n== ${name}\n${Buffer.concat(said)}${ok ? 'ok' : 'FAILED'} ${name} (${seconds} s)\n`,
  );
  const counts = countsTests ? readCounts(name) : { passed: Number(ok), failed: Number(!ok) };
  return { name, ok, ...counts, failed: Math.max(counts.failed, Number(!ok)) };
}

function results(name) {
  return join(scratch, `${name}.json`);
}

function readCounts(name) {
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(
      readFileSync(results(name), 'utf8'),
    );
    return {
      passed: numPassedTests,
      failed: Math.max(numFailedTests, numFailedTestSuites > 0 && numFailedTests === 0 ? 1 : 0),
    };
  } catch {
    return { passed: 0, failed: 1 };
  }
}
