/** How the end of a process reads as the outcome of a task: Azure Batch's failure codes (page "Batch status and error codes"). */
import { assertNever } from '../../src/lib/assert.ts';
import type { ShoalError } from '../../src/lib/errors.ts';
import type { FailureInfo, TaskOutcome } from '../../src/model/task.ts';
import type { Exit } from '../runner/interface.ts';

type Ending = Omit<TaskOutcome, 'files'>;

export function endingOf(exit: Exit): Ending {
  const times = {
    endedAtMs: exit.endedAtMs,
    ...(exit.startedAtMs === undefined ? {} : { startedAtMs: exit.startedAtMs }),
  };
  const code = exit.exitCode === undefined ? {} : { exitCode: exit.exitCode };
  switch (exit.reason) {
    case 'exited':
      return exit.exitCode === 0
        ? { kind: 'exited', ...code, ...times }
        : {
            kind: 'exited',
            ...code,
            ...times,
            failure: failure(
              'usererror',
              'FailureExitCode',
              'The task exited with an exit code representing a failure',
              {
                Message: 'The task process exited with an unexpected exit code',
                AdditionalErrorCode: 'FailureExitCode',
              },
            ),
          };
    case 'wallClock':
      return {
        kind: 'wallClock',
        ...nonZero(exit),
        ...times,
        failure: failure(
          'usererror',
          'TaskEnded',
          'The task was ended because it ran longer than its maxWallClockTime.',
        ),
      };
    case 'killed':
      return { kind: 'killed', ...code, ...times };
    case 'leaseExpired':
      return {
        kind: 'lost',
        ...code,
        ...times,
        failure: failure(
          'servererror',
          'NodeLost',
          'The node lost touch with its coordinator and ended the task.',
        ),
      };
    case 'outputTooLarge':
      return {
        kind: 'exited',
        ...nonZero(exit),
        ...times,
        failure: failure(
          'usererror',
          'OutputTooLarge',
          exit.message ?? 'The task wrote more to stdout.txt or stderr.txt than the node keeps.',
        ),
      };
    case 'memoryExceeded':
      return {
        kind: 'exited',
        ...nonZero(exit),
        ...times,
        failure: failure(
          'usererror',
          'MemoryExceeded',
          exit.message ?? 'The task used more memory than its node has.',
        ),
      };
    case 'programNotFound':
      return {
        kind: 'preProcessingError',
        ...times,
        failure: failure(
          'usererror',
          'CommandProgramNotFound',
          exit.message ?? 'The specified command program cannot be found.',
        ),
      };
    case 'launchFailed':
      return {
        kind: 'preProcessingError',
        ...times,
        failure: failure(
          'usererror',
          'CommandLaunchFailed',
          exit.message ?? 'The command could not be started.',
        ),
      };
    default:
      return assertNever(exit.reason);
  }
}

/** Killed by us for its own fault: never a success, whatever the process said. */
function nonZero(exit: Exit): { exitCode: number } {
  return { exitCode: exit.exitCode === undefined || exit.exitCode === 0 ? 137 : exit.exitCode };
}

export function preProcessingError(
  nowMs: number,
  code: string,
  message: string,
  values: Readonly<Record<string, string>> = {},
): TaskOutcome {
  return {
    kind: 'preProcessingError',
    endedAtMs: nowMs,
    failure: failure('usererror', code, message, values),
    files: [],
  };
}

/** A failed input, in Azure's words. */
export function inputFailure(nowMs: number, error: ShoalError, what: string): TaskOutcome {
  switch (error.code) {
    case 'BlobNotFound':
    case 'ContainerNotFound':
      return preProcessingError(nowMs, 'BlobNotFound', 'The specified Azure Blob(s) is not found', {
        BlobSource: what,
      });
    case 'Forbidden':
    case 'AuthenticationFailed':
      return preProcessingError(nowMs, 'BlobAccessDenied', error.message, { BlobSource: what });
    case 'OperationTimedOut':
      return preProcessingError(nowMs, 'BlobDownloadTimedOut', error.message, { BlobSource: what });
    case 'DiskFull':
      return preProcessingError(nowMs, 'DiskFull', error.message, { BlobSource: what });
    case 'InvalidPropertyValue':
      return preProcessingError(nowMs, 'ResourceFileCreateFailed', error.message, { BlobSource: what });
    default:
      return preProcessingError(nowMs, 'BlobDownloadMiscError', error.message, { BlobSource: what });
  }
}

/** An application package that could not be had. The code is ours, but for a full disk. */
export function packageFailure(nowMs: number, { code, message, values }: ShoalError): TaskOutcome {
  return preProcessingError(
    nowMs,
    code === 'DiskFull' ? 'DiskFull' : 'ApplicationPackageError',
    `The application package ${values.package ?? ''} could not be brought to the node: ${message}`,
    values,
  );
}

/** A container that could not be had: no engine (Azure's code for a node that cannot take a task), no image, wrong options. */
export function containerFailure(nowMs: number, { code, message, values }: ShoalError): TaskOutcome {
  const known = code === 'TaskSchedulingConstraintFailed' || code === 'ContainerImagePullFailed';
  return preProcessingError(nowMs, known ? code : 'ContainerError', message, values);
}

/** An output that could not be stored, in the words of Azure's node agent. */
export function uploadFailure({ code, message, values }: ShoalError): FailureInfo {
  switch (code) {
    case 'ContainerNotFound':
      return failure('usererror', 'FileUploadContainerNotFound', message, values);
    case 'Forbidden':
    case 'AuthenticationFailed':
      return failure('usererror', 'FileUploadAccessDenied', message, values);
    case 'FileNotFound':
      return failure('usererror', 'FileUploadMissingFile', message, values);
    default:
      return failure('usererror', 'FileUploadMiscError', message, values);
  }
}

export function failure(
  category: FailureInfo['category'],
  code: string,
  message: string,
  values: Readonly<Record<string, string>> = {},
): FailureInfo {
  return {
    category,
    code,
    message,
    details: Object.entries(values).map(([name, value]) => ({ name, value })),
  };
}
