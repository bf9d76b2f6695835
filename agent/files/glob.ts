/**
 * File patterns of `outputFiles`, as Azure Batch has them (page "OutputFile", filePattern): `*`, `?`, `[abc]`, `[a-c]`,
 * `[!a]` within a name, `**` for any number of directories. Names that begin with a dot match only where the pattern
 * writes that dot. `/` alone separates.
 *
 * Patterns come from job authors, and a translation to regular expressions is exponential for some (`*a*a*a*a*b`), so
 * both levels are matched without one: a name against a segment with one backtracking point (after Kirk Krauss,
 * "Matching Wildcards"; at most name x segment steps), a path against the segments as a set of positions, which also
 * tells a walk which directories cannot lead to a match.
 */
import { ShoalError } from '../../src/lib/errors.ts';
import { GLOB_ENTRIES_MAX, GLOB_LENGTH_MAX, PATH_DEPTH_MAX } from '../../src/lib/limits.ts';
import type { SafeDirectory } from './safe-path.ts';

type Token =
  | { readonly kind: 'star' }
  | { readonly kind: 'one' }
  | { readonly kind: 'literal'; readonly character: string }
  | {
      readonly kind: 'set';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    };

type Segment =
  | { readonly kind: 'directories' }
  | { readonly kind: 'name'; readonly tokens: readonly Token[] };

/** Where a match may stand after some components of a path: indexes of the segments that may come next. */
export type GlobPositions = readonly number[];

export class Glob {
  readonly pattern: string;
  /** Azure: a destination path is the blob's name for a pattern without wildcards, and a prefix for one with. */
  readonly hasWildcard: boolean;
  readonly #segments: readonly Segment[];

  /** Throws `InvalidPropertyValue` for a pattern that is absolute, too long or too deep, or has `.`, `..` or an empty segment. */
  constructor(pattern: string) {
    if (pattern.length > GLOB_LENGTH_MAX)
      throw badPattern(pattern, `longer than ${GLOB_LENGTH_MAX} characters`);
    if (pattern.includes('\0')) throw badPattern(pattern, 'a NUL character');
    const texts = pattern.split('/');
    if (texts.length > PATH_DEPTH_MAX) throw badPattern(pattern, `deeper than ${PATH_DEPTH_MAX} directories`);
    for (const text of texts) {
      if (text === '' || text === '.' || text === '..') {
        throw badPattern(pattern, text === '' ? 'absolute, or an empty segment' : `the segment "${text}"`);
      }
    }
    // `out/**` means the files below `out`, as everywhere.
    if (texts[texts.length - 1] === '**') texts.push('*');
    this.pattern = pattern;
    this.#segments = texts.map(parseSegment);
    this.hasWildcard = this.#segments.some(
      (segment) => segment.kind === 'directories' || segment.tokens.some((token) => token.kind !== 'literal'),
    );
  }

  /** Whether the pattern matches this relative path. */
  matches(path: string): boolean {
    let positions = this.begin();
    for (const name of path.split('/')) positions = this.enter(positions, name);
    return this.accepts(positions);
  }

  begin(): GlobPositions {
    return this.#skipDirectories([0]);
  }

  /** The positions after one more component. Empty: nothing below it can match. */
  enter(positions: GlobPositions, name: string): GlobPositions {
    const characters = Array.from(name);
    const next: number[] = [];
    for (const position of positions) {
      const segment = this.#segments[position];
      if (segment === undefined) continue;
      if (segment.kind === 'directories') {
        if (!name.startsWith('.')) next.push(position);
      } else if (matchesName(segment.tokens, characters)) {
        next.push(position + 1);
      }
    }
    return this.#skipDirectories(next);
  }

  accepts(positions: GlobPositions): boolean {
    return positions.includes(this.#segments.length);
  }

  /** True where a directory at these positions may hold a match. */
  continues(positions: GlobPositions): boolean {
    return positions.some((position) => position < this.#segments.length);
  }

  /** `**` stands for no directory too. Positions stay distinct, so there are never more than segments. */
  #skipDirectories(positions: readonly number[]): GlobPositions {
    const all = new Set<number>();
    for (let position of positions) {
      all.add(position);
      while (this.#segments[position]?.kind === 'directories') all.add(++position);
    }
    return [...all];
  }
}

function parseSegment(text: string): Segment {
  if (text === '**') return { kind: 'directories' };
  const characters = Array.from(text);
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? '';
    if (character === '*') {
      if (tokens[tokens.length - 1]?.kind !== 'star') tokens.push({ kind: 'star' });
    } else if (character === '?') {
      tokens.push({ kind: 'one' });
    } else {
      const set = character === '[' ? parseSet(characters, at) : undefined;
      tokens.push(set?.token ?? { kind: 'literal', character });
      at = set?.last ?? at;
    }
  }
  return { kind: 'name', tokens };
}

/** As POSIX: a `]` right at the beginning is meant itself, and a `[` that is never closed is an ordinary character. */
function parseSet(characters: readonly string[], open: number): { token: Token; last: number } | undefined {
  const negated = characters[open + 1] === '!';
  const first = open + (negated ? 2 : 1);
  const last = characters.indexOf(']', first + 1);
  if (last < 0) return undefined;
  const ranges: [string, string][] = [];
  for (let at = first; at < last; at++) {
    const low = characters[at] ?? '';
    const isRange = characters[at + 1] === '-' && at + 2 < last;
    ranges.push([low, isRange ? (characters[at + 2] ?? '') : low]);
    if (isRange) at += 2;
  }
  return { token: { kind: 'set', negated, ranges }, last };
}

function matchesName(tokens: readonly Token[], name: readonly string[]): boolean {
  const first = tokens[0];
  if (name[0] === '.' && !(first?.kind === 'literal' && first.character === '.')) return false;
  let token = 0;
  let at = 0;
  // The last star, and how much of the name it swallows at present; an earlier star never needs to be looked at again.
  let star = -1;
  let swallowed = 0;
  while (at < name.length) {
    const current = tokens[token];
    if (current?.kind === 'star') {
      star = token++;
      swallowed = at;
    } else if (current !== undefined && matchesCharacter(current, name[at] ?? '')) {
      token++;
      at++;
    } else if (star >= 0) {
      token = star + 1;
      at = ++swallowed;
    } else {
      return false;
    }
  }
  while (tokens[token]?.kind === 'star') token++;
  return token === tokens.length;
}

function matchesCharacter(token: Token, character: string): boolean {
  switch (token.kind) {
    case 'literal':
      return token.character === character;
    case 'set': {
      const code = character.codePointAt(0) ?? 0;
      const inside = token.ranges.some(
        ([low, high]) => (low.codePointAt(0) ?? 0) <= code && code <= (high.codePointAt(0) ?? 0),
      );
      return inside !== token.negated;
    }
    case 'one':
    case 'star':
      return true;
  }
}

export interface GlobWalkOptions {
  /** Entries looked at before the walk gives up with TooLarge. Default `GLOB_ENTRIES_MAX`. */
  readonly entriesMax?: number;
  readonly signal?: AbortSignal;
}

/**
 * The regular files below `root` that match, as relative paths, in the order of the disk. Links are neither followed
 * nor given out, nor are FIFOs, sockets and devices; a directory that vanishes or turns into a link meanwhile is passed over, and
 * so are those deeper than `PATH_DEPTH_MAX`. What is given out may be something else by the time it is opened: open
 * it through `SafeDirectory`. Throws TooLarge.
 */
export async function* walkGlob(
  root: SafeDirectory,
  glob: Glob,
  options: GlobWalkOptions = {},
): AsyncGenerator<string> {
  const entriesMax = options.entriesMax ?? GLOB_ENTRIES_MAX;
  let entries = 0;

  async function* walk(
    directory: SafeDirectory,
    prefix: string,
    depth: number,
    positions: GlobPositions,
  ): AsyncGenerator<string> {
    for await (const { name, kind } of directory.entries()) {
      options.signal?.throwIfAborted();
      if (++entries > entriesMax) {
        throw new ShoalError(
          'TooLarge',
          `More than ${entriesMax} directory entries were searched for ${glob.pattern}.`,
        );
      }
      const next = glob.enter(positions, name);
      if (kind === 'file' && glob.accepts(next)) yield prefix + name;
      if (kind !== 'directory' || !glob.continues(next) || depth >= PATH_DEPTH_MAX) continue;
      const child = await openIfDirectory(directory, name);
      if (child === undefined) continue;
      try {
        yield* walk(child, `${prefix}${name}/`, depth + 1, next);
      } finally {
        await child.close();
      }
    }
  }

  yield* walk(root, '', 1, glob.begin());
}

async function openIfDirectory(directory: SafeDirectory, name: string): Promise<SafeDirectory | undefined> {
  try {
    return await directory.directory(name);
  } catch (error) {
    const passedOver = ['FileNotFound', 'Forbidden', 'InvalidPropertyValue'];
    if (error instanceof ShoalError && passedOver.includes(error.code)) return undefined;
    throw error;
  }
}

function badPattern(pattern: string, why: string): ShoalError {
  const shown = JSON.stringify(pattern.slice(0, 100));
  return new ShoalError('InvalidPropertyValue', `The file pattern ${shown} is not valid: ${why}.`, {
    pattern: shown,
  });
}
