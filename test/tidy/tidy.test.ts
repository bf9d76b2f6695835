/** The code's own rules, checked on the code. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const CODE = ['src', 'agent', 'coordinator', 'scripts', 'test'];
const PURE = ['autoscale', 'consensus', 'core', 'placement', 'membership'].map((folder) =>
  join('coordinator', folder),
);

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

function read(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, text, lines: text.split('\n') };
}

const sources = CODE.flatMap((folder) => [...filesBelow(folder)])
  .filter((path) => /\.(ts|mjs)$/.test(path))
  .map(read);
const besidesThis = sources.filter(({ path }) => !path.endsWith('tidy.test.ts'));
const program = sources.filter(({ path }) => !path.startsWith('test'));

/** `path:line: text` of every line that breaks a rule. */
function breaking(files: readonly Source[], breaks: (line: string, source: Source) => boolean): string[] {
  return files.flatMap((source) =>
    source.lines.flatMap((line, number) =>
      breaks(line, source) ? [`${source.path}:${number + 1}: ${line.trim()}`] : [],
    ),
  );
}

describe('the code', () => {
  it('has files to look at', () => {
    expect(program.length).toBeGreaterThan(100);
  });

  it('has no file named after nothing in particular', () => {
    const named = sources
      .map(({ path }) => path)
      .filter((path) => /(^|[/-])(utils?|helpers?|manager|common|misc)\.(ts|mjs)$/.test(path));
    expect(named).toEqual([]);
  });

  it('leaves no work for later and skips no test', () => {
    const marks = /\b(TODO|FIXME|XXX)\b|\b(it|test|describe)\.(skip|todo|only)\b/;
    expect(breaking(besidesThis, (line) => marks.test(line))).toEqual([]);
  });

  it('has functions and files of a size that can be read', () => {
    const long = program
      .filter(({ path, lines }) => lines.length > 900 && !path.endsWith('limits.ts'))
      .map(({ path, lines }) => `${path}: ${lines.length} lines`);
    expect(long).toEqual([]);
  });

  it('names no path of a particular machine', () => {
    expect(
      breaking(program, (line) => /['"`](\/home\/|\/root\/|\/Users\/|\/workspace\/)/.test(line)),
    ).toEqual([]);
  });
});

describe('the core', () => {
  const core = program.filter(({ path }) => PURE.some((folder) => path.startsWith(folder)));

  it('takes time and randomness as values', () => {
    expect(core.length).toBeGreaterThan(20);
    expect(
      breaking(core, (line) =>
        /\b(Date\.now|new Date\(\)|performance\.now|Math\.random|setTimeout|setInterval|setImmediate|process\.(env|pid|hrtime|nextTick))/.test(
          line,
        ),
      ),
    ).toEqual([]);
  });

  it('imports nothing of Node', () => {
    expect(breaking(core, (line) => /from 'node:/.test(line))).toEqual([]);
  });
});

describe('bounds', () => {
  it('each say why they are what they are', () => {
    const limits = read('src/lib/limits.ts');
    const undocumented = limits.lines.flatMap((line, number) => {
      if (!line.startsWith('export const')) return [];
      let before = number - 1;
      while (before >= 0 && limits.lines[before]?.startsWith('export const')) before -= 1;
      return /\*\/\s*$/.test(limits.lines[before] ?? '') || /^ \*|^\/\/ ---/.test(limits.lines[before] ?? '')
        ? []
        : [`${number + 1}: ${line}`];
    });
    // Azure Batch's own limits are explained together, at the head of their section.
    const azures =
      /ID_LENGTH_MAX|TASKS_PER_ADD_MAX|PAGE_ITEMS_MAX|DEPENDENCY|TASK_SLOTS|ENVIRONMENT|COMMAND_LINE|BLOB_|REQUEST_BODY/;
    expect(undocumented.filter((line) => !azures.test(line))).toEqual([]);
  });
});

describe('tests', () => {
  it('wait for conditions, never for time alone', () => {
    const waits = breaking(
      sources.filter(({ path }) => path.startsWith('test') && path.endsWith('.test.ts')),
      (line) => /await (sleep|setTimeout)\(\s*\d{4,}/.test(line),
    );
    expect(waits).toEqual([]);
  });
});

describe('documents', () => {
  it('link to files that exist', () => {
    const documents = ['README.md', ...[...filesBelow('docs')].filter((path) => path.endsWith('.md'))].map(
      read,
    );
    const dead = documents.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)]
        .map(([, target = '']) => join(dirname(path), target))
        .filter((target) => !existsBelow(target))
        .map((target) => `${path} -> ${relative('.', target)}`),
    );
    expect(dead).toEqual([]);
  });
});

function existsBelow(path: string): boolean {
  try {
    readFileSync(join(root, path));
    return true;
  } catch {
    return false;
  }
}
