/** From the answer to a command to a value or an exception. */
import { ShoalError } from '../lib/errors.ts';
import type { Outcome } from './commands.ts';

/** The value; throws the coded refusal. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw refusal(outcome);
}

export function refusal(outcome: Outcome<unknown> & { readonly ok: false }): ShoalError {
  return new ShoalError(outcome.code, outcome.message, outcome.values);
}
