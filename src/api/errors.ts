/** The one place that makes error answers, in Azure Batch's shape. Our own addition is `hint`. */
import { ShoalError } from '../lib/errors.ts';
import { withoutSecrets } from '../lib/secrets.ts';
import { formatTimestamp } from '../lib/timestamps.ts';

export interface ErrorContext {
  readonly baseUrl: string;
  readonly requestId: string;
  readonly timeMs: number;
}

export interface ErrorDetail {
  readonly code: string;
  readonly message: { readonly lang: string; readonly value: string };
  readonly values?: readonly { readonly key: string; readonly value: string }[];
  readonly hint?: string;
}

/** What a handler or the HTTP library threw, as the error that the client is told. */
export function answerableError(thrown: unknown): ShoalError {
  if (thrown instanceof ShoalError) {
    // The clients split a batch of tasks in two when they hear this code, and only this one.
    return thrown.code === 'TooLarge'
      ? new ShoalError('RequestBodyTooLarge', thrown.message, thrown.values)
      : thrown;
  }
  const status = libraryStatus(thrown);
  if (status === 413) return new ShoalError('RequestBodyTooLarge');
  if (status === 415) return new ShoalError('InvalidHeaderValue', undefined, { HeaderName: 'Content-Type' });
  if (status === 404 || status === 400) return new ShoalError('InvalidUri', undefined, {}, { cause: thrown });
  if (isAbort(thrown)) return new ShoalError('OperationTimedOut', undefined, {}, { cause: thrown });
  // What went wrong inside is for the log; the client gets the request id to find it by.
  return new ShoalError('InternalError', undefined, {}, { cause: thrown });
}

function libraryStatus(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown) || !('statusCode' in thrown)) return undefined;
  const fromLibrary = typeof thrown.code === 'string' && thrown.code.startsWith('FST_ERR_');
  return fromLibrary && typeof thrown.statusCode === 'number' ? thrown.statusCode : undefined;
}

function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown.name === 'AbortError' || thrown.name === 'TimeoutError');
}

/** Code, message and details, as they stand in an error body and in the results of addtaskcollection. */
export function errorDetail(error: ShoalError, context: ErrorContext): ErrorDetail {
  const values = Object.entries(error.values).map(([key, value]) => ({ key, value: withoutSecrets(value) }));
  const suffix = `\nRequestId:${context.requestId}\nTime:${formatTimestamp(context.timeMs)}`;
  return {
    code: error.code,
    message: { lang: 'en-US', value: withoutSecrets(error.message) + suffix },
    ...(values.length > 0 && { values }),
    ...(error.hint !== undefined && { hint: error.hint }),
  };
}

export function errorBody(
  error: ShoalError,
  context: ErrorContext,
): ErrorDetail & Record<'odata.metadata', string> {
  return {
    'odata.metadata': `${context.baseUrl}/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element`,
    ...errorDetail(error, context),
  };
}
