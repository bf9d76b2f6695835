/** The agent's log files: bounded in size and number, and found again by the time of their lines. */
import { mkdir, readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openLogsOf, type TimeRange } from '../../../agent/logs/find-logs.ts';
import { LogFiles, logFilePaths } from '../../../agent/logs/log-files.ts';
import { temporaryDirectory } from '../files/temporary-directory.ts';

const LIMITS = { fileBytesMax: 1_000, filesMax: 3 };

function line(number: number): string {
  return `${JSON.stringify({ number, text: 'x'.repeat(60) })}\n`;
}

async function numbersIn(directory: string): Promise<number[]> {
  const texts: string[] = [];
  for (const path of [...logFilePaths(directory, LIMITS.filesMax)].reverse())
    texts.push(await readFile(path, 'utf8').catch(() => ''));
  return texts
    .join('')
    .split('\n')
    .slice(0, -1)
    .map((one) => (JSON.parse(one) as { number: number }).number);
}

describe('log files', () => {
  test('never grow beyond their size and number, and hold the latest lines, each whole', async () => {
    const directory = await temporaryDirectory();
    const files = new LogFiles(directory, LIMITS);
    for (let number = 0; number < 500; number += 1) files.write(line(number));
    files.close();
    expect((await readdir(directory)).sort()).toEqual(['agent.1.log', 'agent.2.log', 'agent.log']);
    for (const path of logFilePaths(directory, LIMITS.filesMax))
      expect((await stat(path)).size).toBeLessThanOrEqual(LIMITS.fileBytesMax);
    const numbers = await numbersIn(directory);
    expect(numbers.length).toBeGreaterThan(20);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => 500 - numbers.length + index));
  });

  test('go on where the last life of the agent ended, and are for their owner alone', async () => {
    const directory = await temporaryDirectory();
    for (const number of [0, 1, 2]) {
      const files = new LogFiles(directory, LIMITS);
      files.write(line(number));
      files.close();
    }
    expect(await numbersIn(directory)).toEqual([0, 1, 2]);
    expect((await stat(join(directory, 'agent.log'))).mode & 0o777).toBe(0o600);
  });

  test('cut a line that is longer than a file', async () => {
    const directory = await temporaryDirectory();
    const files = new LogFiles(directory, LIMITS);
    files.write(`${'y'.repeat(5_000)}\n`);
    files.write(line(1));
    files.close();
    for (const path of logFilePaths(directory, LIMITS.filesMax).slice(0, 2))
      expect((await stat(path)).size).toBeLessThanOrEqual(LIMITS.fileBytesMax);
    expect(await readFile(join(directory, 'agent.log'), 'utf8')).toBe(line(1));
  });

  test('that cannot be written cost their lines and nothing else', async () => {
    const directory = join(await temporaryDirectory(), 'missing');
    const files = new LogFiles(directory, LIMITS);
    files.write(line(0));
    await mkdir(directory);
    files.write(line(1));
    files.close();
    expect(await numbersIn(directory)).toEqual([1]);
  });
});

describe('the files of a time range', () => {
  const HOUR_MS = 3_600_000;
  const noonMs = Date.parse('2026-11-21T12:00:00.000Z');

  /** Three files of an hour each: from 9, 10 and 11 o'clock on. */
  async function threeHours(): Promise<readonly string[]> {
    const paths = logFilePaths(await temporaryDirectory(), 3);
    for (const [age, path] of paths.entries()) {
      const time = new Date(noonMs - (age + 1) * HOUR_MS).toISOString();
      await writeFile(path, `{"level":30,"time":"${time}","msg":"begins"}\n`);
      const endedAt = new Date(noonMs - age * HOUR_MS);
      await utimes(path, endedAt, endedAt);
    }
    return paths;
  }

  async function namesOf(paths: readonly string[], range: TimeRange): Promise<string[]> {
    const found = await openLogsOf(paths, range);
    await Promise.all(found.map(({ file }) => file.close()));
    return found.map(({ name }) => name);
  }

  test('are those with a line of it, whole', async () => {
    const paths = await threeHours();
    const of = (fromHour: number, toHour: number) =>
      namesOf(paths, { startMs: noonMs + fromHour * HOUR_MS, endMs: noonMs + toHour * HOUR_MS });
    expect(await of(-10, 10)).toEqual(['agent.log', 'agent.1.log', 'agent.2.log']);
    expect(await of(-1.5, -1.2)).toEqual(['agent.1.log']);
    expect(await of(-1.5, -0.5)).toEqual(['agent.log', 'agent.1.log']);
    expect(await of(-10, -3.1)).toEqual([]);
    expect(await of(1, 2)).toEqual([]);
  });

  test('are taken once where a file moves on while they are opened, and none is missed', async () => {
    const paths = await threeHours();
    const [current = '', former = '', oldest = ''] = paths;
    // As seen by a reader that had opened the first file before it moved.
    await rename(former, oldest);
    await rename(current, former);
    expect(await namesOf([former, former, oldest], { startMs: 0, endMs: noonMs })).toEqual([
      'agent.1.log',
      'agent.2.log',
    ]);
  });

  test('leave out what is missing and what is empty, and take what does not say when it begins', async () => {
    const directory = await temporaryDirectory();
    const [empty = '', missing = '', plain = ''] = logFilePaths(directory, 3);
    await writeFile(empty, '');
    await writeFile(plain, 'killed\n');
    expect(await namesOf([empty, missing, plain], { startMs: 0, endMs: Date.now() })).toEqual([
      'agent.2.log',
    ]);
  });
});
