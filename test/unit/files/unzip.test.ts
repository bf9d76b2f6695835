import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { SafeDirectory } from '../../../agent/files/safe-path.ts';
import { unzip } from '../../../agent/files/unzip.ts';
import { temporaryDirectory } from './temporary-directory.ts';
import { LINK, PROGRAM, type ZipEntry, zipOf } from './zip-file.ts';

const LIMITS = { entriesMax: 100, bytesMax: 1_000_000 };
let root: string;
let target: string;
beforeEach(async () => {
  root = await temporaryDirectory();
  target = join(root, 'target');
  await mkdir(target);
});

async function unpack(entries: readonly ZipEntry[] | Buffer): Promise<void> {
  const archive = join(root, 'archive.zip');
  await writeFile(archive, Buffer.isBuffer(entries) ? entries : zipOf(entries));
  const directory = await SafeDirectory.open(target);
  try {
    await unzip(archive, directory, new AbortController().signal, LIMITS);
  } finally {
    await directory.close();
  }
}

const modeOf = async (path: string): Promise<number> => (await stat(join(target, path))).mode & 0o7777;

describe('an archive', () => {
  test('is unpacked with its directories, programs and links', async () => {
    await unpack([
      { name: 'bin/', mode: 0o040_700 },
      { name: 'bin/tool', content: '#!/bin/sh\n', mode: PROGRAM },
      { name: './share/deep/text', content: 'text', mode: 0o100_600 },
      { name: 'lib/libtool.so', content: 'libtool.so.1', mode: LINK },
      { name: 'lib/libtool.so.1', content: 'code' },
      { name: 'lib/text', content: '../share/deep/text', mode: LINK },
    ]);
    expect(await readFile(join(target, 'share/deep/text'), 'utf8')).toBe('text');
    expect(await modeOf('bin/tool')).toBe(0o755);
    expect(await modeOf('share/deep/text')).toBe(0o644);
    expect(await readFile(join(target, 'lib/libtool.so'), 'utf8')).toBe('code');
    expect(await readlink(join(target, 'lib/text'))).toBe('../share/deep/text');
  });

  test('that keeps no modes has programs everywhere, and no set-user-id anywhere', async () => {
    await unpack([
      { name: 'from-dos', system: 0, mode: 0 },
      { name: 'setuid', mode: 0o104_755 },
    ]);
    expect(await modeOf('from-dos')).toBe(0o755);
    expect(await modeOf('setuid')).toBe(0o755);
  });
});

test('of a name that is there twice the later content counts', async () => {
  await unpack([
    { name: 'a', content: 'first, and longer' },
    { name: 'a', content: 'second' },
  ]);
  expect(await readFile(join(target, 'a'), 'utf8')).toBe('second');
});

describe('a hostile archive is refused, and writes nothing outside', () => {
  const cases: readonly (readonly [string, readonly ZipEntry[]])[] = [
    ['a name with ..', [{ name: 'a/../../outside', content: 'x' }]],
    ['an absolute name', [{ name: '/outside', content: 'x' }]],
    ['a drive letter', [{ name: 'C:/outside', content: 'x' }]],
    ['a backslash', [{ name: '..\\outside', content: 'x' }]],
    ['a control character', [{ name: 'out\nside', content: 'x' }]],
    ['a component of 300 bytes', [{ name: `a/${'x'.repeat(300)}`, content: 'x' }]],
    ['a path of 100 components', [{ name: 'x/'.repeat(99).concat('x'), content: 'x' }]],
    ['a NUL', [{ name: 'out\u0000side', content: 'x' }]],
    ['a link to an absolute path', [{ name: 'link', content: '/etc', mode: LINK }]],
    ['a link that leads out', [{ name: 'a/link', content: '../../outside', mode: LINK }]],
    ['a link that goes up behind a name', [{ name: 'a/b/link', content: 'c/../../../..', mode: LINK }]],
    ['a link without a target', [{ name: 'link', content: '', mode: LINK }]],
    ['an overlong link', [{ name: 'link', content: 'x/'.repeat(1_000), mode: LINK }]],
    ['a device', [{ name: 'device', mode: 0o020_666 }]],
    ['an encrypted file', [{ name: 'secret', content: 'x', encrypted: true }]],
    ['a file that is longer than it says', [{ name: 'bomb', content: 'x'.repeat(5_000), declaredBytes: 10 }]],
    ['a file that is shorter than it says', [{ name: 'short', content: 'x', declaredBytes: 10 }]],
  ];
  test.each(cases)('%s', async (_, entries) => {
    await expect(unpack(entries)).rejects.toMatchObject({ code: 'InvalidPropertyValue' });
    expect((await readdir(root)).sort()).toEqual(['archive.zip', 'target']);
  });

  test('a file below a link of the same archive', async () => {
    await expect(
      unpack([
        { name: 'link', content: 'real', mode: LINK },
        { name: 'real/file', content: 'x' },
        { name: 'link/file', content: 'through' },
      ]),
    ).rejects.toMatchObject({ code: 'Forbidden' });
    expect(await readFile(join(target, 'real/file'), 'utf8')).toBe('x');
  });

  test('a file that is a directory too', async () => {
    await expect(unpack([{ name: 'a', content: 'x' }, { name: 'a/b' }])).rejects.toThrow();
  });

  test('nothing of a list with one bad name', async () => {
    await expect(unpack([{ name: 'good' }, { name: '../bad' }])).rejects.toMatchObject({
      code: 'InvalidPropertyValue',
    });
    expect(await readdir(target)).toEqual([]);
  });

  test('more entries or more bytes than allowed, before anything is written', async () => {
    const many = Array.from({ length: LIMITS.entriesMax + 1 }, (_, at) => ({ name: `f${at}` }));
    await expect(unpack(many)).rejects.toMatchObject({ code: 'TooLarge' });
    const zeros = { content: Buffer.alloc(LIMITS.bytesMax / 2 + 1) };
    await expect(
      unpack([
        { name: 'a', ...zeros },
        { name: 'b', ...zeros },
      ]),
    ).rejects.toMatchObject({ code: 'TooLarge' });
    expect(await readdir(target)).toEqual([]);
  });

  test('bytes that are no archive, or half of one', async () => {
    const whole = zipOf([{ name: 'file', content: 'x'.repeat(10_000) }]);
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from('#!/bin/sh\n'),
      whole.subarray(0, 40),
      whole.subarray(10),
    ]) {
      await expect(unpack(bytes)).rejects.toMatchObject({ code: 'InvalidPropertyValue' });
    }
    const damaged = Buffer.from(whole);
    damaged.writeUInt8(damaged.readUInt8(40) ^ 0xff, 40);
    await expect(unpack(damaged)).rejects.toMatchObject({ code: 'InvalidPropertyValue' });
  });
});
