/** How far a request's authority reaches: everything with the account's key, less with a token. */
import { ShoalError } from '../lib/errors.ts';
import { idKey } from '../model/ids.ts';
import type { Admission } from './authenticate.ts';
import type { Route } from './route.ts';

/** Throws InsufficientAccountPermissions. A token of a job may ask whatever names that job in its path. */
export function checkScope({ by, scope }: Admission, route: Route, params: unknown): void {
  if (by === 'key') return;
  if (route.keyOnly === true)
    throw new ShoalError('InsufficientAccountPermissions', "Only the account's key allows this, no token.");
  if (scope.kind === 'account') return;
  const { job } = params as { readonly job?: string };
  if (job === undefined || idKey(job) !== idKey(scope.job))
    throw new ShoalError('InsufficientAccountPermissions', `The token is for the job ${scope.job} alone.`);
}
