/** Who sends a request and what it is like, as far as fairness among callers is concerned. */
import type { IncomingMessage } from 'node:http';
import { ShoalError } from '../lib/errors.ts';
import type { Admission } from './authenticate.ts';
import type { Arrival } from './call.ts';
import type { TurnRequest } from './fair-share.ts';
import type { Route } from './route.ts';
import { addressKey } from './strangers.ts';

/** An address with a credential: many clients share the account's key. Over the unix socket: the machine's owner. */
export function callerOf({ raw }: Arrival, admission: Admission | undefined): string {
  if (admission === undefined) return 'owner';
  return `${addressKey(raw.socket.remoteAddress)} ${admission.credential}`;
}

/** What a request is like. Those of one route cost about the same where their queries, bodies and pages are about as long. */
export function natureOf(
  { name, method, asks }: Pick<Route, 'name' | 'method' | 'asks'>,
  { url = '', headers }: IncomingMessage,
): Pick<TurnRequest, 'kind' | 'changes' | 'searches'> {
  const rows = /[?&]maxresults=(\d{1,4})/.exec(url)?.[1] ?? 1_000;
  const bodyBytes = headers['content-length'] ?? (headers['transfer-encoding'] === undefined ? 0 : 2 ** 20);
  const sizes = [url.length, Number(bodyBytes), Number(rows)].map(sizeClass);
  return {
    kind: `${name} ${sizes.join(' ')}`,
    changes: method !== 'GET' && method !== 'HEAD' && asks !== true,
    searches: asks === true || /[?&](?:\$|%24)filter=/.test(url),
  };
}

/** Powers of four. */
function sizeClass(size: number): number {
  return (32 - Math.clz32(size)) >> 1;
}

/** The request itself is wrong, whatever there is in the mesh. Honest clients are refused otherwise, too: what they look for is gone, or there already. */
export function isMisuse(thrown: unknown): boolean {
  return thrown instanceof ShoalError && [400, 401, 403, 405, 413, 416].includes(thrown.status);
}
