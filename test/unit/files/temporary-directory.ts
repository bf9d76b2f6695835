import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { ShoalError } from '../../../src/lib/errors.ts';

const made: string[] = [];

afterEach(async () => {
  for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
});

/** A directory that is gone after the test. */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-files-'));
  made.push(path);
  return path;
}

/** The code of the ShoalError that `work` fails with. */
export async function failureCode(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ShoalError) return error.code;
    throw error;
  }
  throw new Error('expected a ShoalError');
}
