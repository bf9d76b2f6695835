/**
 * Which servers a task's files may come from and go to. Their addresses are named by the task's author, who can reach
 * whatever the task can; so this gives away one thing only: what is bound to the machine's own loopback or link-local
 * addresses (cloud metadata, the agent's API). Those are refused in every notation, at every redirect, and at the
 * address the connection really goes to, so that a name which changes its answer between check and connect gains
 * nothing.
 */
import { lookup as lookupName } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { ShoalError } from '../../src/lib/errors.ts';

const refused = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const)
  refused.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 128],
  ['::1', 128],
  ['fe80::', 10],
] as const)
  refused.addSubnet(network, bits, 'ipv6');

/** True for loopback, unspecified and link-local addresses, IPv4 inside IPv6 included. */
export function isRefusedAddress(address: string): boolean {
  const mapped = /^(?:::(?:ffff:)?|64:ff9b::)(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return refused.check(mapped, 'ipv4');
  return isIPv6(address)
    ? refused.check(address, 'ipv6') || /^::(ffff:)?7f|^::ffff:a9fe|^64:ff9b::(7f|a9fe)/i.test(address)
    : refused.check(address, 'ipv4');
}

export class Reach {
  readonly #allowed: ReadonlySet<string>;

  /** `allowed`: `address:port` of servers on this machine that may be reached all the same. */
  constructor(allowed: readonly string[] = []) {
    this.#allowed = new Set(allowed);
  }

  /** Throws Forbidden for a URL that names an address of the machine itself. Names are looked at when they are looked up. */
  check(url: URL): void {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (isIP(host) !== 0 && this.#refuses(host, url)) throw refusal(url, host);
  }

  /** For the connection to that URL: the address that is checked is the address that is connected to. */
  lookup(url: URL): LookupFunction {
    return (hostname, options, callback) => {
      lookupName(hostname, { ...options, all: true }, (error, addresses) => {
        if (error !== null) return callback(error, '', 0);
        const bad = addresses.find(({ address }) => this.#refuses(address, url));
        const first = addresses[0];
        if (bad !== undefined || first === undefined)
          return callback(refusal(url, bad?.address ?? hostname), '', 0);
        if (options.all === true) callback(null, addresses);
        else callback(null, first.address, first.family);
      });
    };
  }

  #refuses(address: string, { port, protocol }: URL): boolean {
    if (!isRefusedAddress(address)) return false;
    const shown = isIPv6(address) ? `[${address}]` : address;
    return !this.#allowed.has(`${shown}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`);
  }
}

function refusal(url: URL, address: string): ShoalError {
  return new ShoalError(
    'Forbidden',
    `${url.origin} leads to ${address}, an address of the machine itself; tasks' files neither come from there nor go there unless \`allowLocalUrls\` of its configuration names it.`,
  );
}
