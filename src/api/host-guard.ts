/**
 * Which Host headers a TCP listener answers to. A page that a browser loaded from a stranger's name can have that name
 * point at 127.0.0.1 (DNS rebinding): its requests then carry the stranger's name.
 */
import { isIP } from 'node:net';
import { ShoalError } from '../lib/errors.ts';

const SHAPE = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::(\d{1,5}))?$/;

/** The name part, without port and brackets, in lower case; undefined where the header is no host at all. */
export function hostName(header: string | undefined): string | undefined {
  const match = header === undefined ? null : SHAPE.exec(header);
  return match?.[1]?.replace(/^\[|\]$/g, '').toLowerCase();
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

export interface HostRule {
  /** The address that the listener is bound to. */
  readonly boundTo: string;
  /** Names of this machine that clients may use besides. */
  readonly ownNames: readonly string[];
}

/** Throws `Forbidden`. An address literal is no name, so rebinding cannot forge it; off loopback any is taken. */
export function checkHost(
  headers: { readonly host?: string | undefined; readonly origin?: string | undefined },
  rule: HostRule,
): void {
  const name = hostName(headers.host);
  const own = rule.ownNames.some((ownName) => ownName.toLowerCase() === name);
  const address = name !== undefined && isIP(name) !== 0 && !isLoopback(rule.boundTo);
  if (name === undefined || !(isLoopback(name) || own || address)) {
    throw new ShoalError('Forbidden', 'The Host header does not name this machine.', { HeaderName: 'Host' });
  }
  if (headers.origin !== undefined && originHost(headers.origin) !== headers.host?.toLowerCase()) {
    throw new ShoalError('Forbidden', 'Requests from pages of other origins are refused.', {
      HeaderName: 'Origin',
    });
  }
}

function originHost(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/.exec(origin.toLowerCase())?.[1];
}
