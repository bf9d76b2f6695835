/** Run as an unprivileged process: makes a tree, takes its permissions away, removes it, and says what is left. */
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SafeDirectory } from '../../../agent/files/safe-path.ts';

const [root = ''] = process.argv.slice(2);
await mkdir(join(root, 't/a/b/c'), { recursive: true });
for (const file of ['t/1', 't/a/2', 't/a/b/3', 't/a/b/c/4']) await writeFile(join(root, file), '');
for (const directory of ['t/a/b/c', 't/a/b', 't/a', 't']) await chmod(join(root, directory), 0);

const safe = await SafeDirectory.open(root);
await safe.remove('t');
await safe.close();
console.log(`left: ${(await readdir(root)).join(' ')}`);
