/**
 * Makes a checkout ready to run: dependencies as the lock file names them, then the bundles. Plain JavaScript on Node's
 * own modules, because it runs before anything is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`error: Shoal needs Node 20.19 or later; this is ${process.versions.node}.\n`);
  process.exit(1);
}

/** npm writes this file at the end of every install. */
const installed = join(root, 'node_modules', '.package-lock.json');

function isInstalled() {
  return (
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
  );
}

function run(command, words) {
  const { status, error } = spawnSync(command, words, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

if (!isInstalled()) {
  process.stderr.write(
    `installing the dependencies of ${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).name}…\n`,
  );
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
run(process.execPath, [join(root, 'scripts', 'build.mjs')]);
