/**
 * A task's file as it grows, until the task has ended.
 *
 * The task's state is read before the file's size: once the state says completed, the size that follows is final, so
 * the last bytes are never missed. A task that runs again (its node was lost, or it is retried) begins a new file, and
 * so does this stream. The node, the coordinator and the file may each be away for a while; as long as the task has
 * not ended, that is waited out.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type ErrorCode, ShoalError } from '../../lib/errors.ts';
import { FOLLOW_POLL_MS, REQUEST_WAIT_MS } from '../../lib/limits.ts';
import type { FileEntry } from '../../model/control.ts';
import type { TaskEntity } from '../../model/queries.ts';
import type { ApiContext } from '../context.ts';

export interface FollowedFile {
  readonly job: string;
  readonly task: string;
  readonly path: string;
}

/** The file is not there yet, or not to be had just now. */
const PASSING: readonly ErrorCode[] = [
  'FileNotFound',
  'TaskFilesUnavailable',
  'NodeNotReady',
  'PeerUnreachable',
];

/** Rejects where there is no such task, or it has ended and left no such file. */
export async function follow(
  context: ApiContext,
  file: FollowedFile,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const task = await readTask(context, file, signal);
  if (task.state === 'completed')
    await context.control.files.statTaskFile(file.job, file.task, file.path, { signal });
  return pieces(context, file, signal);
}

async function* pieces(
  context: ApiContext,
  file: FollowedFile,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let epoch: number | undefined;
  let offset = 0;
  let endedAtMs: number | undefined;
  while (!signal.aborted) {
    const task = await unlessPassing(readTask(context, file, signal));
    const entry = task === undefined ? undefined : await unlessPassing(statFile(context, file, signal));
    if (task !== undefined && task.epoch !== epoch) {
      epoch = task.epoch;
      offset = 0;
    }
    if (entry !== undefined && entry.sizeBytes > offset) {
      for await (const piece of openFrom(
        context,
        file,
        { start: offset, end: entry.sizeBytes - 1 },
        signal,
      )) {
        offset += piece.length;
        yield piece;
      }
      continue;
    }
    if (task?.state === 'completed') {
      if (entry !== undefined) return;
      // Its machine may be on its way back; it is not waited for for ever.
      endedAtMs ??= context.clock.monotonicMs();
      if (context.clock.monotonicMs() - endedAtMs > REQUEST_WAIT_MS)
        throw new ShoalError('TaskFilesUnavailable');
    }
    await lookAgain(signal);
  }
}

function readTask(
  { control, jobs }: ApiContext,
  file: FollowedFile,
  signal: AbortSignal,
): Promise<TaskEntity> {
  const { job, task } = file;
  return jobs.with(job, { signal }, (group) => control.query(group, 'task.get', { job, task }, { signal }));
}

function statFile({ control }: ApiContext, file: FollowedFile, signal: AbortSignal): Promise<FileEntry> {
  return control.files.statTaskFile(file.job, file.task, file.path, { signal });
}

/** Undefined for what may be there at the next look. */
async function unlessPassing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (isPassing(thrown)) return undefined;
    throw thrown;
  }
}

function isPassing(thrown: unknown): boolean {
  return thrown instanceof ShoalError && (PASSING.includes(thrown.code) || thrown.retryable);
}

async function lookAgain(signal: AbortSignal): Promise<void> {
  await pause(FOLLOW_POLL_MS, undefined, { signal }).catch(() => undefined);
}

/** What is there of the range. A file that lost its node half way gives what came; the next turn looks again. */
async function* openFrom(
  context: ApiContext,
  file: FollowedFile,
  range: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let left = range.end - range.start + 1;
  try {
    const opened = await context.control.files.openTaskFile(file.job, file.task, file.path, range, {
      signal,
    });
    for await (const chunk of opened.body as AsyncIterable<Buffer>) {
      yield chunk.subarray(0, left);
      left -= Math.min(left, chunk.length);
      if (left === 0) return;
    }
  } catch (thrown) {
    if (!isPassing(thrown)) throw thrown;
    await lookAgain(signal);
  }
}
