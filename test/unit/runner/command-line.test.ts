import { describe, expect, it } from 'vitest';
import { ShoalError } from '../../../src/lib/errors.ts';
import { parseCommandLine } from '../../../src/model/parse-command-line.ts';
import { fc } from '../../support/properties.ts';

describe('a command line', () => {
  it.each([
    ['echo hello world', ['echo', 'hello', 'world']],
    ['  echo\t\thello\n', ['echo', 'hello']],
    [`/bin/sh -c 'echo "$HOME" > out; exit 3'`, ['/bin/sh', '-c', 'echo "$HOME" > out; exit 3']],
    ['echo "a b" c', ['echo', 'a b', 'c']],
    ['echo "say \\"hi\\" \\\\ now"', ['echo', 'say "hi" \\ now']],
    ['echo "keep \\n and \\$"', ['echo', 'keep \\n and \\$']],
    ['echo a\\ b \\"c', ['echo', 'a b', '"c']],
    ["echo 'no \\escape'", ['echo', 'no \\escape']],
    [`echo a"b c"d'e f'g`, ['echo', 'ab cde fg']],
    [`echo '' ""`, ['echo', '', '']],
    ['echo $HOME `id` $(id) * | > &', ['echo', '$HOME', '`id`', '$(id)', '*', '|', '>', '&']],
    ['echo ünï 🐟', ['echo', 'ünï', '🐟']],
  ])('%j is split without a shell', (line, argv) => {
    expect(parseCommandLine(line)).toEqual(argv);
  });

  it.each(['', '   \n', `echo 'open`, 'echo "open', 'echo "open\\"', 'echo \\', 'echo a\0b', "'' x"])(
    '%j is refused with InvalidPropertyValue',
    (line) => {
      expect(() => parseCommandLine(line)).toThrowError(
        expect.objectContaining({ code: 'InvalidPropertyValue' }),
      );
    },
  );

  it('gives back any arguments that were quoted for it', () => {
    const argument = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
    const program = argument.filter((value) => value !== '');
    const single = (value: string): string => `'${value.replaceAll("'", `'\\''`)}'`;
    const double = (value: string): string => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
    fc.assert(
      fc.property(program, fc.array(argument), fc.boolean(), (first, rest, isSingle) => {
        const argv = [first, ...rest];
        expect(parseCommandLine(argv.map(isSingle ? single : double).join(' '))).toEqual(argv);
      }),
    );
  });

  it('never fails in another way than by its own error', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', ' ', "'", '"', '\\', '\0', '\n', '$') }), (line) => {
        try {
          expect(parseCommandLine(line).length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ShoalError);
        }
      }),
    );
  });
});
