import { execFile } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterEach, describe, expect, it } from 'vitest';
import { SafeDirectory, splitSafePath } from '../../../agent/files/safe-path.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { failureCode, temporaryDirectory } from './temporary-directory.ts';

const opened: SafeDirectory[] = [];

afterEach(async () => {
  for (const directory of opened.splice(0)) await directory.close();
});

/** `root`, which a task may write in, beside `outside`, which it must not reach through us. */
async function makeRoot(): Promise<{ safe: SafeDirectory; root: string; outside: string }> {
  const base = await temporaryDirectory();
  const root = join(base, 'root');
  const outside = join(base, 'outside');
  await mkdir(root);
  await mkdir(outside);
  await writeFile(join(outside, 'secret'), 'secret');
  const safe = await SafeDirectory.open(root);
  opened.push(safe);
  return { safe, root, outside };
}

async function readText(safe: SafeDirectory, path: string): Promise<string> {
  const handle = await safe.readFile(path);
  try {
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

async function writeText(safe: SafeDirectory, path: string, text: string, mode?: number): Promise<void> {
  const handle = await safe.createFile(path, mode);
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

const succeeds = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

describe('a path', () => {
  it.each([
    '',
    '/',
    '/etc/passwd',
    '..',
    '../x',
    'a/../b',
    'a/..',
    '.',
    './a',
    'a//b',
    'a/',
    'a\0b',
    'a\nb',
    'a\rb',
    'a\x1b[2Jb',
    'a\\b',
    '..\\x',
    'x'.repeat(256),
    'ü'.repeat(128),
    `${'a/'.repeat(64)}a`,
    `${'xxxx/'.repeat(820)}x`,
    'a\ud800',
  ])('%j is refused', (path) => {
    let code = '';
    try {
      splitSafePath(path);
    } catch (error) {
      if (error instanceof ShoalError) code = error.code;
    }
    expect(code).toBe('InvalidPropertyValue');
  });

  it.each([
    'a',
    'a/b/c',
    '...',
    '..a',
    'a b/ü$(x)`',
    '-rf',
    '%2e%2e/x',
    'x'.repeat(255),
    `${'a/'.repeat(63)}a`,
  ])('%j is taken as it is', (path) => {
    expect(splitSafePath(path).join('/')).toBe(path);
  });
});

describe('below a directory', () => {
  it('files are written, listed and read', async () => {
    const { safe } = await makeRoot();
    await writeText(safe, 'wd/out/result.txt', 'ok', 0o6755);
    expect(await readText(safe, 'wd/out/result.txt')).toBe('ok');
    const status = await safe.status('wd/out/result.txt');
    expect(status.mode & 0o7000).toBe(0);
    const directory = await safe.directory('wd');
    const entries = [];
    for await (const entry of directory.entries()) entries.push(entry);
    await directory.close();
    expect(entries).toEqual([{ name: 'out', kind: 'directory' }]);
    await safe.rename('wd/out/result.txt', 'wd/moved');
    expect(await readText(safe, 'wd/moved')).toBe('ok');
    expect(await failureCode(safe.readFile('wd/out/result.txt'))).toBe('FileNotFound');
    expect(await failureCode(safe.readFile('nothing/here'))).toBe('FileNotFound');
    expect(await failureCode(safe.readFile('wd'))).toBe('Forbidden');
  });

  it('no link is followed, to the file or on the way to it', async () => {
    const { safe, root, outside } = await makeRoot();
    await symlink('/', join(root, 'out'));
    await symlink(outside, join(root, 'dir'));
    await symlink(join(outside, 'secret'), join(root, 'file'));
    await mkdir(join(root, 'real'));
    await writeFile(join(root, 'real/x'), 'x');
    await symlink('real', join(root, 'inner'));
    for (const path of ['out/etc/passwd', 'dir/secret', 'file', 'inner/x', 'dir', 'out']) {
      expect([path, await failureCode(safe.readFile(path))]).toEqual([path, 'Forbidden']);
    }
    expect(await failureCode(safe.createFile('dir/new'))).toBe('Forbidden');
    expect(await failureCode(safe.directory('out/tmp/new', true))).toBe('Forbidden');
    expect(await failureCode(safe.rename('real/x', 'dir/x'))).toBe('Forbidden');
    expect(await failureCode(safe.remove('dir/secret'))).toBe('Forbidden');
    expect((await safe.status('file')).isSymbolicLink()).toBe(true);
    expect(await readdir(outside)).toEqual(['secret']);
  });

  it('a link that has the name of a new file is replaced and not written through', async () => {
    const { safe, root, outside } = await makeRoot();
    await symlink(join(outside, 'secret'), join(root, 'stdout.txt'));
    await writeText(safe, 'stdout.txt', 'mine');
    expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect((await lstat(join(root, 'stdout.txt'))).isFile()).toBe(true);
  });

  it('a FIFO, a socket and a device are refused without waiting for them', async () => {
    const { safe, root } = await makeRoot();
    await promisify(execFile)('mkfifo', [join(root, 'fifo')]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(root, 'socket'), resolve));
    for (const path of ['fifo', 'socket']) expect(await failureCode(safe.readFile(path))).toBe('Forbidden');
    const devices = await SafeDirectory.open('/dev');
    opened.push(devices);
    for (const path of ['null', 'zero', 'tty'])
      expect(await failureCode(devices.readFile(path))).toBe('Forbidden');
    await new Promise((resolve) => server.close(resolve));
  });

  it('a directory that is swapped for a link all the time never leads outside', async () => {
    const { safe, root, outside } = await makeRoot();
    await mkdir(join(root, 'd'));
    await writeFile(join(root, 'd/secret'), 'inside');
    await symlink(outside, join(root, 'trap'));
    // A new file makes its directory anew where it finds none: that one goes.
    const move = async (from: string, to: string): Promise<void> => {
      while (!(await succeeds(rename(join(root, from), join(root, to))))) {
        await succeeds(rm(join(root, to), { recursive: true, force: true }));
      }
    };
    let running = true;
    const swapper = (async () => {
      while (running) {
        await move('d', 'kept');
        await move('trap', 'd');
        await move('d', 'trap');
        await move('kept', 'd');
      }
    })();
    const seen = new Set<string>();
    for (let i = 0; i < 400; i++) {
      seen.add(await readText(safe, 'd/secret').catch((error: ShoalError) => error.code));
      seen.add(
        await writeText(safe, `d/new${i}`, '').then(
          () => 'inside',
          (error: ShoalError) => error.code,
        ),
      );
    }
    running = false;
    await swapper;
    expect(seen.has('secret')).toBe(false);
    expect([...seen].filter((outcome) => !['inside', 'Forbidden', 'FileNotFound'].includes(outcome))).toEqual(
      [],
    );
    expect(seen.has('inside') && seen.has('Forbidden')).toBe(true);
    expect(await readdir(outside)).toEqual(['secret']);
  });

  it('a directory keeps its identity when its path is swapped after it was opened', async () => {
    const { safe, root, outside } = await makeRoot();
    await writeFile(join(root, 'secret'), 'inside');
    await rename(root, `${root}-moved`);
    await symlink(outside, root);
    expect(await readText(safe, 'secret')).toBe('inside');
    await writeText(safe, 'new', '');
    expect(await readdir(outside)).toEqual(['secret']);
  });

  it('a tree is removed without following its links', async () => {
    const { safe, root, outside } = await makeRoot();
    for (const path of ['t', 't/a', 't/a/b', 't/a/c', 't/d']) await mkdir(join(root, path));
    for (const path of ['t/1', 't/a/2', 't/a/b/3', 't/d/4']) await writeFile(join(root, path), '');
    await symlink(outside, join(root, 't/a/link'));
    await symlink(outside, join(root, 'link'));
    await chmod(join(root, 't/a/b'), 0);
    await chmod(join(root, 't/d'), 0o555);
    await safe.remove('t');
    await safe.remove('link');
    await safe.remove('not there');
    expect(await readdir(root)).toEqual([]);
    expect(await readdir(outside)).toEqual(['secret']);
  });

  it('a tree that its owner took all permissions from is removed', async () => {
    const { root } = await makeRoot();
    // Root may do anything: there the removal runs as nobody in a process of its own.
    const identity = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const script = join(root, '../remove.mjs');
    await build({
      entryPoints: [fileURLToPath(new URL('./remove-process.ts', import.meta.url))],
      outfile: script,
      bundle: true,
      platform: 'node',
      format: 'esm',
    });
    for (const path of [join(root, '..'), root]) await chmod(path, 0o777);
    const { stdout } = await promisify(execFile)(process.execPath, [script, root], identity);
    expect(stdout).toBe('left: \n');
  });

  it('a tree deeper than any path can name is removed', async () => {
    const { safe, root } = await makeRoot();
    await mkdir(join(root, 't'));
    // Built from the bottom, as no path reaches down: each round hangs what is there below a new directory.
    for (let depth = 0; depth < 300; depth++) {
      const name = join(root, `x${'y'.repeat(50)}`);
      await mkdir(name);
      await rename(join(root, 't'), join(name, 'z'.repeat(50)));
      await rename(name, join(root, 't'));
    }
    await safe.remove('t');
    expect(await readdir(root)).toEqual([]);
  });

  it('leaves no descriptor open', async () => {
    const { safe, root } = await makeRoot();
    await mkdir(join(root, 'a/b/c'), { recursive: true });
    await symlink('/', join(root, 'a/b/link'));
    const count = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
    const before = await count();
    for (let i = 0; i < 20; i++) {
      await writeText(safe, 'a/b/c/file', 'x');
      await safe.readFile('a/b/link').catch(() => undefined);
      await safe.readFile('a/b').catch(() => undefined);
      await safe.createFile('a/b/link/x').catch(() => undefined);
      const directory = await safe.directory('a/b');
      for await (const _ of directory.entries()) break;
      await directory.close();
      await safe.remove('a/b/c');
    }
    expect(await count()).toBeLessThanOrEqual(before + 1);
    expect(await readlink(join(root, 'a/b/link'))).toBe('/');
    await unlink(join(root, 'a/b/link'));
    await rm(join(root, 'a'), { recursive: true });
  });
});
