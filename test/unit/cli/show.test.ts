import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { age, ago, between, bytes } from '../../../src/cli/cells.ts';
import { RateMeter, renderByteProgress, renderTaskProgress } from '../../../src/cli/progress.ts';
import { PrefixedLines } from '../../../src/cli/run/task-output.ts';
import { type Column, cutTo, renderRecord, renderTable } from '../../../src/cli/table.ts';
import { printable, TerminalFilter } from '../../../src/cli/terminal-text.ts';
import { fc } from '../../support/properties.ts';

interface Row {
  readonly name: string;
  readonly count: number;
  readonly note?: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', value: (row) => row.name },
  { title: 'COUNT', value: (row) => row.count },
  { title: 'NOTE', value: (row) => row.note, shrinks: true },
];
const PLAIN = { width: undefined, colour: false };

describe('a table', () => {
  test('pads by what a terminal shows, numbers to the right', () => {
    const rows = [
      { name: 'a', count: 5 },
      { name: '日本', count: 1000, note: 'x' },
    ];
    expect(renderTable(COLUMNS, rows, PLAIN)).toEqual([
      'NAME  COUNT  NOTE',
      'a         5  -',
      '日本   1000  x',
    ]);
  });

  test('cuts its longest column to the terminal, and nothing where there is none', () => {
    const rows = [{ name: 'a', count: 1, note: 'n'.repeat(100) }];
    const lines = renderTable(COLUMNS, rows, { width: 40, colour: false });
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(40);
    expect(lines[1]?.endsWith('…')).toBe(true);
    expect(renderTable(COLUMNS, rows, PLAIN)[1]).toContain('n'.repeat(100));
  });

  test('without rows is its header', () => {
    expect(renderTable(COLUMNS, [], PLAIN)).toEqual(['NAME  COUNT  NOTE']);
  });

  test('in blocks has one header and widths that only grow', () => {
    const widths: number[] = [];
    const first = renderTable(COLUMNS, [{ name: 'long-name', count: 1 }], PLAIN, widths);
    const second = renderTable(COLUMNS, [{ name: 'a', count: 2 }], PLAIN, widths);
    expect(first).toHaveLength(2);
    expect(second).toEqual(['a              2  -']);
  });

  test('shows no control character of what it is given', () => {
    const rows = [{ name: '\u001b]0;title\u0007\nrm', count: 1, note: 'a\u202eb' }];
    expect(renderTable(COLUMNS, rows, PLAIN)[1]).toBe('\\x1b]0;title\\x07\\nrm      1  a\\u202eb');
  });

  test('of one record leaves out what is not known', () => {
    expect(
      renderRecord([
        ['id', 'x'],
        ['display name', undefined],
        ['exit code', 0],
      ]),
    ).toEqual(['id         x', 'exit code  0']);
  });

  test('a cut never breaks a character', () => {
    expect(cutTo('日本語', 5)).toBe('日本…');
  });
});

/** Any UTF-16, half of it below 256. */
const anyText = fc
  .array(fc.oneof(fc.nat(0xff), fc.nat(0xffff)))
  .map((codes) => String.fromCharCode(...codes));

describe('text from elsewhere', () => {
  test('has no control left, whatever it was', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      }),
    );
    expect(printable('plain ä 日本 😀')).toBe('plain ä 日本 😀');
    expect(printable('\ud800x')).toBe('\\ud800x');
  });

  test('as output keeps lines and colours, and loses what moves the cursor or talks to the terminal', () => {
    const filter = new TerminalFilter();
    const shown =
      filter.push(Buffer.from('\u001b[1;31mred\u001b[0m\tx\r\n\u001b[2J\u001b]52;c;aGk=\u0007')) +
      filter.end();
    expect(shown).toBe('\u001b[1;31mred\u001b[0m\tx\r\n\\x1b[2J\\x1b]52;c;aGk=\\x07');
  });

  test('as output is the same however it is cut', () => {
    const text = fc.array(
      fc.constantFrom('a', 'ä', '😀', '\u001b', '[', '31m', '\u001b[32mok\u001b[0m', '\n', '\u009b'),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 60 }), (parts, sizes) => {
        const bytes = Buffer.from(parts.join(''));
        const whole = new TerminalFilter();
        const expected = whole.push(bytes) + whole.end();
        const cut = new TerminalFilter();
        let at = 0;
        let shown = '';
        for (const size of [...sizes, bytes.length]) {
          shown += cut.push(bytes.subarray(at, at + size));
          at += size;
        }
        expect(shown + cut.end()).toBe(expected);
      }),
      { numRuns: 300 },
    );
  });

  test('a colour that was left on is switched off at the end', () => {
    const filter = new TerminalFilter();
    expect(filter.push(Buffer.from('\u001b[31mred')) + filter.end()).toBe('\u001b[31mred\u001b[0m');
  });

  test('lines get their prefix once, wherever they are cut', () => {
    const lines = new PrefixedLines('t: ');
    expect(['ab', 'c\nd', '\n', '\ne'].map((piece) => lines.push(piece)).join('') + lines.end('')).toBe(
      't: abc\nt: d\nt: \nt: e\n',
    );
  });
});

describe('progress', () => {
  const half = { label: 'nightly', succeeded: 48, failed: 2, running: 8, total: 100, perSecond: 12.5 };

  test('says what is done, failed and running, how fast, and how long still', () => {
    expect(renderTaskProgress(half, 100)).toBe(
      'nightly [###############---------------]  50/100  2 failed  8 running  12.5/s  4.0s left',
    );
  });

  test('loses its bar before its words, and fits any terminal', () => {
    expect(renderTaskProgress(half, 60)).toBe('nightly  50/100  2 failed  8 running  12.5/s  4.0s left');
    for (let columns = 2; columns < 140; columns++) {
      expect(stringWidth(renderTaskProgress(half, columns))).toBeLessThan(columns);
    }
  });

  test('of bytes knows lengths that are not known', () => {
    expect(renderByteProgress({ label: 'get', done: 2048, total: undefined, perSecond: 1024 }, 80)).toBe(
      'get  2.0 KiB  1.0 KiB/s',
    );
    expect(renderByteProgress({ label: 'put', done: 0, total: 0, perSecond: undefined }, 30)).toContain(
      '0 B of 0 B',
    );
  });

  test('a rate is that of the last seconds', () => {
    const meter = new RateMeter();
    expect(meter.perSecond()).toBeUndefined();
    for (let second = 0; second <= 60; second++) meter.note(second * 1000, second < 30 ? second * 100 : 3000);
    expect(meter.perSecond()).toBe(0);
  });
});

describe('cells', () => {
  test('times have two units at most', () => {
    expect([400, 12_000, 65_000, 3_600_000, 90_061_000, 8 * 86_400_000].map(age)).toEqual([
      '0.4s',
      '12s',
      '1m 5s',
      '1h',
      '1d 1h',
      '8d',
    ]);
    expect(ago('2026-01-01T00:00:00.0000000Z', Date.parse('2026-01-01T00:02:00Z'))).toBe('2m');
    expect(ago('nonsense', 0)).toBeUndefined();
    expect(between('2026-01-01T00:00:00Z', '2026-01-01T00:00:02.5Z', 0)).toBe('2.5s');
  });

  test('sizes are in powers of 1024', () => {
    expect([0, 1023, 1536, 10 * 1024 ** 2, 3 * 1024 ** 4].map(bytes)).toEqual([
      '0 B',
      '1023 B',
      '1.5 KiB',
      '10 MiB',
      '3.0 TiB',
    ]);
  });
});
