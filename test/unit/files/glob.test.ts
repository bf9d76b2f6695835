import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Glob, walkGlob } from '../../../agent/files/glob.ts';
import { SafeDirectory } from '../../../agent/files/safe-path.ts';
import { fc } from '../../support/properties.ts';
import { failureCode, temporaryDirectory } from './temporary-directory.ts';

describe('a file pattern', () => {
  it.each([
    ['abc*', 'abc', true],
    ['abc*', 'abcdef', true],
    ['abc*', 'abc/def', false],
    ['*.txt', 'a.txt', true],
    ['*.txt', '.a.txt', false],
    ['.*.gif', '.a.gif', true],
    ['*.gif', '.a.gif', false],
    ['[.]a', '.a', false],
    ['?a', '.a', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['a?c', 'a€c', true],
    ['a?c', 'a😀c', true],
    ['[abc]', 'b', true],
    ['[abc]', 'd', false],
    ['[a-c]x', 'bx', true],
    ['[a-c]x', 'dx', false],
    ['[!a]', 'b', true],
    ['[!a]', 'a', false],
    ['[!a-c]', 'b', false],
    ['[]a]', ']', true],
    ['[a-]', '-', true],
    ['abc[*]', 'abc*', true],
    ['abc[*]', 'abcd', false],
    ['a[b', 'a[b', true],
    ['a[b', 'ab', false],
    ['**/*.txt', 'a.txt', true],
    ['**/*.txt', 'x/y/a.txt', true],
    ['**/*.txt', 'x/.hidden/a.txt', false],
    ['**/*.txt', 'x/y/a.log', false],
    ['out/**', 'out/a', true],
    ['out/**', 'out/x/y/a', true],
    ['out/**', 'out', false],
    ['out/**', 'other/a', false],
    ['a/**/b', 'a/b', true],
    ['a/**/b', 'a/x/y/b', true],
    ['a/**/b/**/c', 'a/b/b/c', true],
    ['a/**/b/**/c', 'a/c/b', false],
    ['**/.cache/*', 'x/.cache/f', true],
    ['../std*.txt', null, false],
    ['a.c', 'abc', false],
    ['a+(b)', 'a+(b)', true],
    ['{a,b}', 'a', false],
    ['a**b', 'axyb', true],
  ] as const)('%j and the path %j: %s', (pattern, path, expected) => {
    if (path === null) expect(() => new Glob(pattern)).toThrow('not valid');
    else expect(new Glob(pattern).matches(path)).toBe(expected);
  });

  it.each(['', '/a', 'a//b', 'a/', '..', 'a/../b', './a', 'a\0', 'x'.repeat(5000), `${'a/'.repeat(64)}a`])(
    '%j is refused',
    (pattern) => {
      expect(() => new Glob(pattern)).toThrow('not valid');
    },
  );

  it.each([
    ['std*.txt', true],
    ['a/**', true],
    ['a[b]', true],
    ['a?', true],
    ['a/b.txt', false],
    ['a[b', false],
  ])('%j has a wildcard: %s', (pattern, expected) => {
    expect(new Glob(pattern).hasWildcard).toBe(expected);
  });

  it.each([
    [`${'*a'.repeat(30)}b`, 'a'.repeat(255)],
    [`${'a*'.repeat(100)}b`, 'a'.repeat(255)],
    [`${'**/a/'.repeat(30)}b`, `${'a/'.repeat(60)}c`],
    [`${'**/*a*/'.repeat(30)}b`, `${'aaaa/'.repeat(60)}c`],
  ])('%j leads nobody astray', (pattern, path) => {
    const glob = new Glob(pattern);
    expect(glob.matches(path)).toBe(false);
  });

  it('agrees with the definition, tried out on every way to match', () => {
    const name = fc.stringMatching(/^[ab.]{1,4}$/).filter((text) => text !== '.' && text !== '..');
    const path = fc.array(name, { minLength: 1, maxLength: 4 });
    const segment = fc.oneof(
      fc.constant('**'),
      fc.stringMatching(/^[ab.*?]{1,4}$/).filter((text) => !['.', '..', '**'].includes(text)),
    );
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), path, (segments, names) => {
        const expected = definition(segments.at(-1) === '**' ? [...segments, '*'] : segments, names);
        expect(new Glob(segments.join('/')).matches(names.join('/'))).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

/** The obvious, exponential matcher. */
function definition(segments: readonly string[], names: readonly string[]): boolean {
  const [segment, ...segmentsLeft] = segments;
  const [name, ...namesLeft] = names;
  if (segment === undefined) return name === undefined;
  if (segment === '**') {
    const skipped = definition(segmentsLeft, names);
    return skipped || (name !== undefined && !name.startsWith('.') && definition(segments, namesLeft));
  }
  if (name === undefined) return false;
  if (name.startsWith('.') && !segment.startsWith('.')) return false;
  return nameDefinition(segment, name) && definition(segmentsLeft, namesLeft);
}

function nameDefinition(segment: string, name: string): boolean {
  if (segment === '') return name === '';
  const rest = segment.slice(1);
  if (segment[0] === '*')
    return nameDefinition(rest, name) || (name !== '' && nameDefinition(segment, name.slice(1)));
  if (name === '' || (segment[0] !== '?' && segment[0] !== name[0])) return false;
  return nameDefinition(rest, name.slice(1));
}

describe('a walk', () => {
  async function makeTree(): Promise<{
    path: string;
    walk: (pattern: string, entriesMax?: number) => Promise<string[]>;
  }> {
    const path = await temporaryDirectory();
    const walk = async (pattern: string, entriesMax?: number): Promise<string[]> => {
      const root = await SafeDirectory.open(path);
      try {
        const found: string[] = [];
        const options = entriesMax === undefined ? {} : { entriesMax };
        for await (const file of walkGlob(root, new Glob(pattern), options)) found.push(file);
        return found.sort();
      } finally {
        await root.close();
      }
    };
    return { path, walk };
  }

  it('finds the files that match, at any depth', async () => {
    const { path, walk } = await makeTree();
    await mkdir(join(path, 'out/a/b'), { recursive: true });
    await mkdir(join(path, 'out/.git'));
    for (const file of ['out/1.txt', 'out/a/2.txt', 'out/a/b/3.log', 'out/.git/4.txt', 'top.txt']) {
      await writeFile(join(path, file), '');
    }
    expect(await walk('**/*.txt')).toEqual(['out/1.txt', 'out/a/2.txt', 'top.txt']);
    expect(await walk('out/**')).toEqual(['out/1.txt', 'out/a/2.txt', 'out/a/b/3.log']);
    expect(await walk('out/*/2.txt')).toEqual(['out/a/2.txt']);
    expect(await walk('out/.git/*')).toEqual(['out/.git/4.txt']);
    expect(await walk('nothing/*')).toEqual([]);
  });

  it('follows no link and gives out none, nor a FIFO', async () => {
    const { path, walk } = await makeTree();
    await mkdir(join(path, 'out'));
    await writeFile(join(path, 'out/real'), '');
    await symlink('/', join(path, 'out/root'));
    await symlink('.', join(path, 'out/loop'));
    await symlink('/etc/passwd', join(path, 'out/passwd'));
    await promisify(execFile)('mkfifo', [join(path, 'out/fifo')]);
    expect(await walk('out/**')).toEqual(['out/real']);
    expect(await walk('**')).toEqual(['out/real']);
    expect(await walk('out/root/etc/passwd')).toEqual([]);
  });

  it('looks only into directories that can lead to a match', async () => {
    const { path, walk } = await makeTree();
    await mkdir(join(path, 'big'));
    await mkdir(join(path, 'out'));
    for (let i = 0; i < 50; i++) await writeFile(join(path, `big/${i}`), '');
    await writeFile(join(path, 'out/x'), '');
    expect(await walk('out/*', 5)).toEqual(['out/x']);
    expect(await failureCode(walk('**/x', 5))).toBe('TooLarge');
  });

  it('passes over what is deeper than its limit', async () => {
    const { path, walk } = await makeTree();
    await mkdir(join(path, 'd/'.repeat(80)), { recursive: true });
    await writeFile(join(path, 'd/'.repeat(80), 'deep'), '');
    await writeFile(join(path, 'd/'.repeat(10), 'shallow'), '');
    expect(await walk('**')).toEqual([`${'d/'.repeat(10)}shallow`]);
  });
});
