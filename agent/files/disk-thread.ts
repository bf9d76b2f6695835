/** The program of a disk thread: answers each job in the order in which they came. */
import { parentPort } from 'node:worker_threads';
import { type DiskAnswer, type DiskJob, runDiskJob } from './disk-jobs.ts';

const port = parentPort;
port?.on('message', (job: DiskJob) => {
  const answer = answerTo(job);
  const memory = answer.kind === 'done' ? answer.result.memory : undefined;
  port.postMessage(answer, memory === undefined ? [] : [memory]);
});

function answerTo(job: DiskJob): DiskAnswer {
  try {
    return { kind: 'done', result: runDiskJob(job) };
  } catch (error) {
    const failure: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
    return { kind: 'failed', message: failure.message, code: failure.code };
  }
}
