import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import type { CliContext } from '../../../src/cli/action.ts';
import { COMPLETION_SHELLS, completionScript } from '../../../src/cli/completion.ts';
import { examplesOf } from '../../../src/cli/examples.ts';
import { EXIT, EXIT_MEANINGS, exitCodeOf } from '../../../src/cli/exit-codes.ts';
import { buildProgram, fullName, leavesOf } from '../../../src/cli/program.ts';
import { referencePage } from '../../../src/cli/reference.ts';
import { systemWorld } from '../../../src/cli/world.ts';
import { ERRORS, type ErrorCode, ShoalError } from '../../../src/lib/errors.ts';
import { VERSION } from '../../../src/lib/version.ts';
import { shoal } from './shell.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
/** `SHOAL_UPDATE=1 npx vitest run test/unit/cli/reference.test.ts` writes the files anew. */
const UPDATE = process.env.SHOAL_UPDATE === '1';

function heldEqual(file: string, text: string): void {
  const place = path.join(ROOT, file);
  if (UPDATE) writeFileSync(place, text);
  expect(text).toBe(readFileSync(place, 'utf8'));
}

const context: CliContext = {
  world: systemWorld(),
  exitCode: 0,
  agent: () => Promise.reject(new Error('not here')),
};
const program = buildProgram(context);

describe('docs/cli.md', () => {
  test('equals the commands, flags and exit codes of the program', () => {
    heldEqual('docs/cli.md', referencePage(program));
  });

  test('every command has a description and an example that begins with its name', () => {
    for (const leaf of leavesOf(program)) {
      expect(leaf.description(), fullName(leaf)).not.toBe('');
      const lines = examplesOf(leaf).map(([line]) => line);
      expect(
        lines.some((line) => line.includes(fullName(leaf))),
        fullName(leaf),
      ).toBe(true);
    }
  });
});

describe('help', () => {
  test.each([
    [['--help']],
    [['run', '--help']],
    [['job', '--help']],
    [['job', 'wait', '--help']],
    [['file', 'get', '--help']],
  ])('of %j is as recorded', async (words) => {
    const { stdout, code } = await shoal(words, { columns: 90 });
    expect(code).toBe(0);
    heldEqual(
      `test/unit/cli/golden/help${words
        .slice(0, -1)
        .map((word) => `-${word}`)
        .join('')}.txt`,
      stdout,
    );
  });

  test('of a group without a command goes to standard error, as a mistake', async () => {
    const { stderr, code } = await shoal(['job']);
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: shoal job');
  });

  test('the version is that of the package', async () => {
    expect((await shoal(['--version'])).stdout).toBe(`${VERSION}\n`);
    expect((await shoal(['version', '--output', 'json'])).stdout).toContain(`"shoal": "${VERSION}"`);
    const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(manifest.version).toBe(VERSION);
  });
});

describe('the program without the agent', () => {
  test('carries nothing heavy: its help must answer at once', async () => {
    const { metafile } = await build({
      absWorkingDir: ROOT,
      entryPoints: ['src/cli/main.ts'],
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'esm',
    });
    const packages = Object.keys(metafile.inputs)
      .map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
      .filter((name) => name !== undefined);
    expect([...new Set(packages)].sort()).toEqual([
      'ansi-regex',
      'commander',
      'get-east-asian-width',
      'string-width',
      'strip-ansi',
    ]);
  });
});

describe('exit codes', () => {
  test('are explained, each once', () => {
    expect(EXIT_MEANINGS.map(([code]) => code)).toEqual(Object.values(EXIT));
  });

  test('there is one for every error, and never 0', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      expect(Object.values(EXIT).slice(1), code).toContain(exitCodeOf(new ShoalError(code)));
    }
  });

  test.each([
    ['InvalidArgument', EXIT.usage],
    ['RequestBodyTooLarge', EXIT.usage],
    ['TaskNotFound', EXIT.notFound],
    ['JobExists', EXIT.conflict],
    ['ConditionNotMet', EXIT.conflict],
    ['NotInitialized', EXIT.conflict],
    ['AuthenticationFailed', EXIT.refused],
    ['InvalidAuthenticationInfo', EXIT.refused],
    ['AgentUnreachable', EXIT.noAgent],
    ['NoQuorum', EXIT.timeout],
    ['OperationTimedOut', EXIT.timeout],
    ['PeerUnreachable', EXIT.timeout],
    ['InternalError', EXIT.failed],
  ] as const)('of %s is %d', (code, expected) => {
    expect(exitCodeOf(new ShoalError(code))).toBe(expected);
  });
});

describe('completion', () => {
  test.each(COMPLETION_SHELLS)('for %s names every command', async (shell) => {
    const { stdout } = await shoal(['completion', shell]);
    expect(stdout).toBe(completionScript(program, shell));
    for (const leaf of leavesOf(program)) expect(stdout).toContain(fullName(leaf).replace(/^shoal/, ''));
  });

  /** What bash would offer for the last of `words`. */
  function offered(...words: string[]): string[] {
    const script = `${completionScript(program, 'bash')}
      COMP_WORDS=(shoal "$@"); COMP_CWORD=$#; _shoal; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['-c', script, 'bash', ...words], { cwd: ROOT })
      .toString()
      .trim()
      .split('\n');
  }

  test('is a script that bash accepts', () => {
    execFileSync('bash', ['-n'], { input: completionScript(program, 'bash') });
  });

  test('in bash offers commands, flags, values and files where each belongs', () => {
    expect(offered('jo')).toEqual(['job', 'join']);
    expect(offered('job', 'w')).toEqual(['wait']);
    expect(offered('job', 'wait', '--ti')).toEqual(['--timeout']);
    expect(offered('job', 'list', '--state', 'comp')).toEqual(['completed']);
    expect(offered('completion', 'z')).toEqual(['zsh']);
    expect(offered('--output', 'json')).toEqual(['json', 'jsonl']);
    expect(offered('task', 'add', 'j', '--json', 'tsconf')).toEqual(['tsconfig.json']);
    expect(offered('run', '--', 'cat', 'pack')).toContain('package.json');
  });

  /** What each shell that this machine has would offer; the choice among them by prefix is zsh's own. */
  const shells: Readonly<Record<string, (words: readonly string[]) => string>> = {
    zsh: (words) =>
      runShell('zsh', [
        '-fc',
        `compdef() {}; compadd() { print -l -- "\${@:2}" }; _files() { print -l -- * }
         _describe() { print -l -- "\${\${(P)2}[@]}" }
         ${completionScript(program, 'zsh')}
         words=(shoal "$@"); CURRENT=\${#words}; _shoal`,
        'zsh',
        ...words,
      ]),
    fish: (words) =>
      runShell('fish', [
        '--no-config',
        '-c',
        `${completionScript(program, 'fish')}\ncomplete -C "$argv"`,
        ...words,
      ]),
  };

  function runShell(shell: string, words: readonly string[]): string {
    return execFileSync(shell, words, { cwd: ROOT }).toString();
  }

  function isInstalled(shell: string): boolean {
    return spawnSync(shell, ['-c', 'exit 0']).error === undefined;
  }

  test('in those of zsh and fish that are here offers the same', () => {
    for (const [shell, offeredBy] of Object.entries(shells)) {
      if (!isInstalled(shell)) continue;
      const offers = (...words: string[]): string =>
        offeredBy(shell === 'fish' ? ['shoal', ...words] : words);
      expect(offers('jo'), shell).toMatch(/^job\b/m);
      expect(offers('job', 'w'), shell).toMatch(/^wait\b/m);
      expect(offers('job', 'wait', '--ti'), shell).toMatch(/^--timeout\b/m);
      expect(offers('job', 'list', '--state', 'comp'), shell).toMatch(/^completed\b/m);
      expect(offers('completion', 'z'), shell).toMatch(/^zsh\b/m);
      expect(offers('--output', 'json'), shell).toMatch(/^jsonl\b/m);
    }
  });
});
