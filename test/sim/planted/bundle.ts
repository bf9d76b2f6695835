/** Builds the simulation with a planted bug in it, or without one. The source files themselves are never touched. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import type { Change } from './planted-bug.ts';

/** Below node_modules, so that the bundles find their dependencies. */
const FOLDER = 'node_modules/.cache/shoal-planted';

/** Path of the program; see worlds-worker.ts. Throws where a change does not fit its file. */
export async function bundleWith(root: string, changes: readonly Change[]): Promise<string> {
  const texts = await changedTexts(root, changes);
  const name = createHash('sha256').update(JSON.stringify(changes)).digest('hex').slice(0, 16);
  const outfile = join(root, FOLDER, `${name}.mjs`);
  const unused = new Set(texts.keys());
  await build({
    absWorkingDir: root,
    entryPoints: ['test/sim/planted/worlds-worker.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    logLevel: 'warning',
    plugins: [
      {
        name: 'plant',
        setup({ onLoad }) {
          onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const contents = texts.get(path);
            unused.delete(path);
            return contents === undefined ? undefined : { contents, loader: 'ts' };
          });
        },
      },
    ],
  });
  if (unused.size > 0) throw new Error(`the simulation does not use ${[...unused].join(', ')}`);
  return outfile;
}

/** The files as the changes leave them, by absolute path. Throws where a change does not fit its file. */
export async function changedTexts(root: string, changes: readonly Change[]): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const { file, ...change } of changes) {
    const path = resolve(root, file);
    texts.set(path, replaceOnce(file, texts.get(path) ?? (await readFile(path, 'utf8')), change));
  }
  return texts;
}

function replaceOnce(file: string, text: string, { find, replace }: Omit<Change, 'file'>): string {
  const pieces = text.split(find);
  if (pieces.length !== 2)
    throw new Error(`${file} holds the text to replace ${pieces.length - 1} times, not once:\n${find}`);
  return pieces.join(replace);
}
