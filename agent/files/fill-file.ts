/** A stream into an open file, from its first byte; what was in it is gone. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { giveBack } from '../../src/lib/lent-bytes.ts';

/** Of an open file what filling it takes; a `FileHandle` is one. */
export interface FillableFile {
  truncate(lengthBytes: number): Promise<void>;
  write(
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
}

export async function fillFile(file: FillableFile, body: Readable, signal: AbortSignal): Promise<void> {
  await pipeline(
    body,
    async (chunks: AsyncIterable<Uint8Array>) => {
      await file.truncate(0);
      let position = 0;
      for await (const chunk of chunks) {
        await writeAll(file, chunk, position);
        position += chunk.length;
        giveBack(chunk);
      }
    },
    { signal },
  );
}

async function writeAll(file: FillableFile, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
}
