/** The exit codes of `shoal`, for scripts. docs/cli.md carries this table. */
import type { ShoalError } from '../lib/errors.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  refused: 5,
  noAgent: 6,
  timeout: 7,
  violated: 8,
  interrupted: 130,
  outputClosed: 141,
} as const;

export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, 'Done.'],
  [
    EXIT.failed,
    'It failed for a reason that has no code of its own here; a task that ended without an exit code.',
  ],
  [EXIT.usage, 'A flag, an argument or a value in the request is not valid. Nothing was changed.'],
  [EXIT.notFound, 'The pool, node, job, task, file, machine, token, container or blob does not exist.'],
  [EXIT.conflict, 'It exists already, or is not in a state that allows this.'],
  [EXIT.refused, 'The key, token or user is not allowed to do this.'],
  [EXIT.noAgent, 'No agent answers.'],
  [EXIT.timeout, 'No answer in time: no quorum, a busy mesh, or the end of --timeout.'],
  [EXIT.violated, '`shoal replay` found a log that broke a promise, or whose replay ends in another state.'],
  [EXIT.interrupted, 'Interrupted (Ctrl-C, SIGTERM or SIGHUP).'],
  [EXIT.outputClosed, 'The reader of standard output went away.'],
];

/** By the error's code, and where that has no row of its own, by its HTTP status. */
export function exitCodeOf(error: ShoalError): number {
  switch (error.code) {
    case 'AgentUnreachable':
      return EXIT.noAgent;
    case 'InvalidAuthenticationInfo':
    case 'NotAMember':
      return EXIT.refused;
    case 'OperationTimedOut':
    case 'TooManyRequests':
      return EXIT.timeout;
    default:
      return exitCodeOfStatus(error.status);
  }
}

function exitCodeOfStatus(status: number): number {
  switch (status) {
    case 400:
    case 405:
    case 413:
    case 416:
      return EXIT.usage;
    case 401:
    case 403:
      return EXIT.refused;
    case 404:
      return EXIT.notFound;
    case 409:
    case 412:
      return EXIT.conflict;
    case 503:
      return EXIT.timeout;
    default:
      return EXIT.failed;
  }
}
