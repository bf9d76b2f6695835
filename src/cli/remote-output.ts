/** A task's bytes on their way to the user. */
import { createWriteStream } from 'node:fs';
import { rename, unlink } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { HttpAnswer } from '../client/transport.ts';
import { ShoalError } from '../lib/errors.ts';
import type { Run } from './action.ts';
import { TerminalFilter } from './terminal-text.ts';

/** Writes a body to standard output: as it is into a file or pipe, made harmless on a terminal. */
export async function showBody(run: Run, body: AsyncIterable<Uint8Array>, raw: boolean): Promise<void> {
  if (raw || !run.world.stdoutIsTerminal) {
    for await (const chunk of body) await run.output.text(chunk);
    return;
  }
  const filter = new TerminalFilter();
  for await (const chunk of body) await run.output.text(filter.push(chunk));
  await run.output.text(filter.end());
}

/**
 * Stores a body in a file, which appears under its name only when it is whole. `onBytes` hears how many bytes each
 * piece has.
 *
 * @throws ShoalError PeerUnreachable if fewer bytes came than the answer announced.
 */
export async function saveBody(
  answer: HttpAnswer,
  target: string,
  onBytes: (count: number) => void = () => {},
): Promise<number> {
  const partial = `${target}.${process.pid}.partial`;
  let count = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of answer.body) {
      count += chunk.byteLength;
      onBytes(chunk.byteLength);
      yield chunk;
    }
  }
  try {
    // `wx`: never through a link that somebody has put under the partial file's name.
    await pipeline(
      Readable.from(counted(), { objectMode: false }),
      createWriteStream(partial, { flags: 'wx' }),
    );
    const announced = answer.headers['content-length'];
    if (announced !== undefined && Number(announced) !== count) {
      throw new ShoalError('PeerUnreachable', `Only ${count} of ${announced} bytes of ${target} came.`);
    }
    await rename(partial, target);
    return count;
  } catch (error) {
    await unlink(partial).catch(() => {});
    throw localFileError(error, target);
  }
}

/** An error of the local file system as one of ours. */
export function localFileError(error: unknown, file: string): unknown {
  if (error instanceof ShoalError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  switch (code) {
    case 'ENOENT':
      return new ShoalError('FileNotFound', `There is no file ${file}.`, { Path: file }, { cause: error });
    case 'EACCES':
    case 'EPERM':
      return new ShoalError('Forbidden', `This user may not use ${file}.`, { Path: file }, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new ShoalError('DiskFull', `No space is left for ${file}.`, { Path: file }, { cause: error });
    case 'EISDIR':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
    case 'EEXIST':
      return new ShoalError(
        'InvalidArgument',
        `${file} cannot be used (${code}).`,
        { Path: file },
        { cause: error },
      );
    default:
      return error;
  }
}
