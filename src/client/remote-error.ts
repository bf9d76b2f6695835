/** An error answer of the API as a `ShoalError`, with the words of the side that refused. */
import { type ErrorCode, type ErrorValues, isErrorCode, ShoalError } from '../lib/errors.ts';

export class RemoteError extends ShoalError {
  readonly #hint: string | undefined;
  readonly #status: number;
  /** The agent's `request-id`, to be found again in its log. */
  readonly requestId: string | undefined;
  /** From `Retry-After`. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, values: ErrorValues, details: RemoteDetails) {
    super(code, message, values);
    this.#hint = details.hint;
    this.#status = details.status;
    this.requestId = details.requestId;
    this.retryAfterMs = details.retryAfterMs;
  }

  override get hint(): string | undefined {
    return this.#hint ?? super.hint;
  }

  override get status(): number {
    return this.#status;
  }
}

interface RemoteDetails {
  readonly status: number;
  readonly hint: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
}

/** Any answer with a status of 400 or more. What is not in Azure's error shape still becomes a coded error. */
export function remoteError(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): RemoteError {
  const parsed = parseObject(body);
  const named = typeof parsed.code === 'string' ? parsed.code : undefined;
  const code = named !== undefined && isErrorCode(named) ? named : codeOfStatus(status);
  const values: Record<string, string> = valuesOf(parsed.values);
  if (named !== undefined && named !== code) values.Code = named;
  return new RemoteError(code, messageOf(parsed.message, status), values, {
    status,
    hint: typeof parsed.hint === 'string' ? parsed.hint : undefined,
    requestId: headers['request-id'],
    retryAfterMs: retryAfter(headers['retry-after']),
  });
}

/** A code of our table for an answer whose own code is foreign to it, or which has none (HEAD, a proxy's page). */
function codeOfStatus(status: number): ErrorCode {
  switch (status) {
    case 400:
      return 'InvalidRequestBody';
    case 401:
      return 'AuthenticationFailed';
    case 403:
      return 'Forbidden';
    case 404:
      return 'ResourceNotFound';
    case 405:
      return 'UnsupportedHttpVerb';
    case 409:
      return 'OperationInvalidForCurrentState';
    case 412:
      return 'ConditionNotMet';
    case 413:
      return 'RequestBodyTooLarge';
    case 416:
      return 'InvalidRange';
    case 429:
      return 'TooManyRequests';
    case 502:
    case 503:
    case 504:
      return 'ServerBusy';
    case 507:
      return 'DiskFull';
    default:
      return 'InternalError';
  }
}

/** Azure's service adds two lines with the request's id and time to each message: they are no part of what happened. */
function messageOf(message: unknown, status: number): string {
  const text = typeof message === 'string' ? message : isObject(message) ? message.value : undefined;
  if (typeof text !== 'string' || text === '') return `The agent answered with HTTP status ${status}.`;
  return text.replace(/\nRequestId:[\s\S]*$/, '');
}

function valuesOf(list: unknown): Record<string, string> {
  const values: Record<string, string> = {};
  if (!Array.isArray(list)) return values;
  for (const item of list as readonly unknown[]) {
    if (isObject(item) && typeof item.key === 'string') values[item.key] = String(item.value ?? '');
  }
  return values;
}

function retryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
