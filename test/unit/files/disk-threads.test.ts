import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DiskJob } from '../../../agent/files/disk-jobs.ts';
import { DiskThreads } from '../../../agent/files/disk-threads.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { diskThreadScript } from './disk-thread-script.ts';
import { failureCode, temporaryDirectory } from './temporary-directory.ts';

async function makeDisk(clock: Clock = systemClock): Promise<{ disk: DiskThreads; directory: string }> {
  const disk = new DiskThreads(await diskThreadScript(), clock);
  onTestFinished(() => disk.close());
  return { disk, directory: await temporaryDirectory() };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** In memory of its own. */
function memoryOf(bytes: Uint8Array): ArrayBuffer {
  const memory = new ArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  return memory;
}

function writeJob(directory: string, bytes: Uint8Array, expected?: string): DiskJob {
  return {
    kind: 'write',
    memory: memoryOf(bytes),
    lengthBytes: bytes.length,
    incoming: join(directory, `incoming-${sha256(bytes)}`),
    path: join(directory, 'fan-out', sha256(bytes)),
    expected,
    syncName: true,
  };
}

describe('a disk thread', () => {
  it('writes bytes that have the hash they should, and gives their memory back', async () => {
    const { disk, directory } = await makeDisk();
    const bytes = randomBytes(5000);
    const { memory, hash } = await disk.run(writeJob(directory, bytes, sha256(bytes)));
    expect(hash).toBe(sha256(bytes));
    expect(Buffer.from(memory ?? new ArrayBuffer(0)).equals(bytes)).toBe(true);
    expect((await readFile(join(directory, 'fan-out', sha256(bytes)))).equals(bytes)).toBe(true);
    expect(await readdir(directory)).toEqual(['fan-out']);
  });

  it('writes nothing of bytes that have another hash', async () => {
    const { disk, directory } = await makeDisk();
    const bytes = randomBytes(100);
    const { hash } = await disk.run(writeJob(directory, bytes, sha256(Buffer.from('other'))));
    expect(hash).toBe(sha256(bytes));
    expect(await readdir(directory)).toEqual([]);
  });

  it('says what the system said, leaves nothing behind, and goes on', async () => {
    const { disk, directory } = await makeDisk();
    // A file stands where the directory would be made.
    await writeFile(join(directory, 'fan-out'), '');
    await expect(disk.run(writeJob(directory, randomBytes(10)))).rejects.toMatchObject({ code: 'ENOTDIR' });
    expect(await readdir(directory)).toEqual(['fan-out']);
    const { lengthBytes } = await disk.run({ kind: 'hash', memory: new ArrayBuffer(8), lengthBytes: 3 });
    expect(lengthBytes).toBe(3);
  });

  it('reads what is there of a file that is shorter than it should be', async () => {
    const { disk, directory } = await makeDisk();
    const path = join(directory, 'short');
    await writeFile(path, 'hello');
    const { hash, lengthBytes } = await disk.run({
      kind: 'read',
      memory: undefined,
      lengthBytes: 10,
      path,
      hashed: true,
    });
    expect([lengthBytes, hash]).toEqual([5, sha256(Buffer.from('hello'))]);
  });
});

describe('disk threads', () => {
  it('do many jobs at once, each with its own answer', async () => {
    const { disk, directory } = await makeDisk();
    const contents = Array.from({ length: 200 }, (_, i) => randomBytes(i + 1));
    const results = await Promise.all(
      contents.map((bytes) => disk.run(writeJob(directory, bytes, sha256(bytes)))),
    );
    expect(results.map(({ hash }) => hash)).toEqual(contents.map(sha256));
    expect(await readdir(join(directory, 'fan-out'))).toHaveLength(200);
  });

  it('that do not start fail what was asked of them, and those after them begin anew', async () => {
    const directory = await temporaryDirectory();
    const script = join(directory, 'late.mjs');
    const disk = new DiskThreads(script, systemClock);
    onTestFinished(() => disk.close());
    const job: DiskJob = { kind: 'sync', directories: [directory] };
    expect(await failureCode(disk.run(job))).toBe('InternalError');
    await writeFile(script, await readFile(await diskThreadScript()));
    await disk.run(job);
  });

  it('that ended after a time without work start again with the next', async () => {
    const waits: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      after: (_delayMs, fire) => {
        waits.push(fire);
        return { cancel: () => undefined };
      },
    };
    const { disk, directory } = await makeDisk(clock);
    const job: DiskJob = { kind: 'sync', directories: [directory] };
    await disk.run(job);
    for (const fire of waits.splice(0)) fire();
    expect(waits.length).toBe(0);
    await disk.run(job);
    expect(waits.length).toBe(1);
  });

  it('that are closed do what is asked of them no more', async () => {
    const { disk, directory } = await makeDisk();
    const running = failureCode(disk.run(writeJob(directory, randomBytes(10))));
    await disk.close();
    expect(await running).toBe('ServerBusy');
    expect(await failureCode(disk.run({ kind: 'sync', directories: [directory] }))).toBe('ServerBusy');
  });
});
