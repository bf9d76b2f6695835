import { expect, test } from 'vitest';
import { Holds } from '../../../agent/files/holds.ts';
import type { LinesFile } from '../../../agent/files/lines-file.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { failureCode } from './temporary-directory.ts';

/** A file on a disk that takes only a part of the next append, then has room again. */
class TearingFile implements LinesFile {
  text = '';
  tearsAt: number | undefined;

  async read(): Promise<string> {
    return this.text;
  }

  async append(text: string): Promise<void> {
    this.text += text.slice(0, this.tearsAt);
    if (this.tearsAt === undefined) return;
    this.tearsAt = undefined;
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  }

  async replace(text: string): Promise<void> {
    this.text = text;
  }
}

test('what is kept after a full disk tore a line is still kept in the next life', async () => {
  const file = new TearingFile();
  const holds = await Holds.open(file, systemClock);
  const untilMs = systemClock.wallMs() + 3_600_000;
  const [torn = '', later = ''] = ['a', 'b'].map((digit) => digit.repeat(64));
  file.tearsAt = 30;
  expect(await failureCode(holds.keep(torn, untilMs))).toBe('DiskFull');
  await holds.keep(later, untilMs);
  const next = await Holds.open(file, systemClock);
  expect(await next.keptContents()).toContain(later);
});
