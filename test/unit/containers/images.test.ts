/** Fetching images, with a program in the engine's place that writes down how it was called. */
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Images } from '../../../agent/containers/images.ts';
import type { ContainerEngine } from '../../../agent/runner/interface.ts';
import { silentLog } from '../../../src/lib/log.ts';

let scratch: string;
let engine: ContainerEngine;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-images-'));
  const program = join(scratch, 'podman');
  await writeFile(program, PROGRAM);
  await chmod(program, 0o755);
  const environment = { PATH: '/usr/bin:/bin', SCRATCH: scratch };
  engine = { kind: 'podman', program, environment, user: '0:0', isRootless: false };
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

/** It has the images that are files, and fetches every other whose name does not end with `none`. */
const PROGRAM = `#!/bin/sh
echo "$@" >> "$SCRATCH/calls"
env >> "$SCRATCH/environment"
for word in "$@"; do case "$word" in --authfile=*) cat "\${word#--authfile=}" >> "$SCRATCH/accounts";; esac; done
eval image=\\\${$#}
if [ "$1" = image ]; then test -e "$SCRATCH/has-$image"; exit; fi
case "$image" in *none) echo "trying" >&2; echo "Error: no such image" >&2; exit 125;; esac
: > "$SCRATCH/has-$image"
`;

const written = (name: string): Promise<string> => readFile(join(scratch, name), 'utf8').catch(() => '');

function images(): Images {
  return new Images({ directory: join(scratch, 'private'), log: silentLog });
}

test('an image is fetched once, for however many tasks, and not where it is there', async () => {
  const present = images();
  const { signal } = new AbortController();
  await Promise.all([1, 2, 3].map(() => present.bring(engine, 'image', undefined, signal)));
  await present.bring(engine, 'image', undefined, signal);
  const calls = (await written('calls')).trim().split('\n');
  expect(calls.filter((call) => call.startsWith('pull'))).toEqual(['pull --quiet image']);
});

test('an account reaches the engine by a private file alone, which is gone afterwards', async () => {
  const registry = { username: 'me', password: 'pass-word', registryServer: 'registry.example' };
  await images().bring(engine, 'image', registry, new AbortController().signal);
  const auth = Buffer.from('me:pass-word').toString('base64');
  expect(JSON.parse(await written('accounts'))).toEqual({ auths: { 'registry.example': { auth } } });
  for (const seen of ['calls', 'environment']) {
    expect(await written(seen)).not.toContain('pass-word');
    expect(await written(seen)).not.toContain(auth);
  }
  expect(await readdir(join(scratch, 'private'))).toEqual([]);
});

test('an image that cannot be had is refused with the last words of the engine, and asked for anew the next time', async () => {
  const present = images();
  const { signal } = new AbortController();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await expect(present.bring(engine, 'none', undefined, signal)).rejects.toMatchObject({
      code: 'ContainerImagePullFailed',
      message: 'The image none could not be fetched by podman: Error: no such image',
    });
  }
  expect((await written('calls')).match(/^pull/gm)).toHaveLength(2);
});
