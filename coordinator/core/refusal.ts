/** The answer of a state machine to a command that changes nothing. */
import type { ErrorCode } from '../../src/lib/errors.ts';
import type { Outcome } from '../../src/model/commands.ts';

export type Refusal = Extract<Outcome<never>, { readonly ok: false }>;

export function refuse(
  code: ErrorCode,
  message?: string,
  values?: Readonly<Record<string, string>>,
): Refusal {
  return {
    ok: false,
    code,
    ...(message === undefined ? {} : { message }),
    ...(values === undefined ? {} : { values }),
  };
}
