/** The program behind `$SHOAL_LAUNCHER`: `serve`, or `HOST COMMAND...`, as `mpirun` calls its remote shell. */
import { spawn } from 'node:child_process';
import { execute, type Place, serve } from './launcher.ts';

const { SHOAL_LAUNCHER_KEY: key = '', SHOAL_LAUNCHER_PORT = '', SHOAL_INSTANCE = '' } = process.env;
const hosts = (process.env.AZ_BATCH_HOST_LIST ?? '').split(',');
const port = Number(SHOAL_LAUNCHER_PORT);
const own: Place = { address: hosts[Number(SHOAL_INSTANCE)] ?? '', port };
/** What ssh ends with where it cannot connect. */
const NO_CONNECTION = 255;
const SILENT = { stdout: () => undefined, stderr: () => undefined };

const [word = '', ...rest] = process.argv.slice(2);
if (key === '' || own.address === '') fail('it works only inside a multi-instance task');
else if (word === 'serve') serveBehind();
else if (word === 'stay') await stay();
else if (hosts.includes(word)) await start(word, rest.join(' '));
else fail(`usage: serve | HOST COMMAND..., where HOST is one of ${hosts.join(', ')}`);

function fail(message: string): void {
  process.stderr.write(`shoal launcher: ${message}\n`);
  process.exitCode = NO_CONNECTION;
}

/** Leaves the server behind, and ends when that listens. */
function serveBehind(): void {
  const [, script = ''] = process.argv;
  const child = spawn(process.execPath, [script, 'stay'], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.once('message', () => {
    child.disconnect();
    child.unref();
  });
  child.once('exit', (code) => {
    process.exitCode = code ?? NO_CONNECTION;
  });
}

async function stay(): Promise<void> {
  try {
    await serve(own, key);
  } catch (error) {
    // Another node of the task is on this machine and serves at the same address: one is enough.
    const isServed = (await execute(own, key, ':', SILENT).catch(() => NO_CONNECTION)) === 0;
    if (!isServed) return fail(error instanceof Error ? error.message : String(error));
  }
  process.send?.('ready');
}

async function start(address: string, command: string): Promise<void> {
  try {
    process.exitCode = await execute({ address, port }, key, command, {
      stdout: (data) => void process.stdout.write(data),
      stderr: (data) => void process.stderr.write(data),
    });
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}
