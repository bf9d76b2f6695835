import { multiaddr } from '@multiformats/multiaddr';
import { ADDRESS_LENGTH_MAX, PEER_ADDRESSES_MAX, STRANGER_ADDRESSES_MAX } from '../lib/limits.ts';

interface Entry {
  /** Told by others, seen on the LAN or dialled with success; newest first. */
  learnt: string[];
  /** Told by the peer itself at its last hello. */
  announced: string[];
}

/** Multiaddrs (without /p2p) to try for each peer, best first. Bounded for each peer and over all. */
export class AddressBook {
  readonly #isAllowed: (peer: string) => boolean;
  readonly #entries = new Map<string, Entry>();

  constructor(isAllowed: (peer: string) => boolean) {
    this.#isAllowed = isAllowed;
  }

  of(peer: string): readonly string[] {
    const entry = this.#entries.get(peer);
    return entry === undefined
      ? []
      : [...new Set([...entry.learnt, ...entry.announced])].slice(0, PEER_ADDRESSES_MAX);
  }

  /** True where at least one of the addresses was not known. */
  learn(peer: string, addresses: readonly string[]): boolean {
    const entry = this.#entryOf(peer);
    const before = new Set(this.of(peer));
    const usable = addresses.flatMap(normalised);
    entry.learnt = [...new Set([...usable, ...entry.learnt])].slice(0, PEER_ADDRESSES_MAX);
    return usable.some((address) => !before.has(address));
  }

  /**
   * What the peer says of itself replaces what it said before. A loopback address is of use only where the peer is on this
   * host; and the host as seen from here, with the ports it announces, reaches it where its interfaces' addresses do not.
   */
  announce(peer: string, addresses: readonly string[], seenHost: string): void {
    const local = isLoopbackHost(seenHost);
    const usable = addresses.flatMap(normalised).filter((address) => local || !isLoopback(address));
    const seen = usable.map((address) => withHost(address, seenHost));
    this.#entryOf(peer).announced = [...new Set([...seen, ...usable])].slice(0, PEER_ADDRESSES_MAX);
  }

  /** A dial of this address succeeded: it is tried first next time. */
  worked(peer: string, address: string): void {
    this.learn(peer, [address]);
  }

  forget(peer: string): void {
    this.#entries.delete(peer);
  }

  #entryOf(peer: string): Entry {
    let entry = this.#entries.get(peer);
    if (entry === undefined) {
      entry = { learnt: [], announced: [] };
      this.#entries.set(peer, entry);
      this.#dropStrangers();
    }
    return entry;
  }

  /** Addresses may be learnt before their peer is a member; those that never become one go, oldest first. */
  #dropStrangers(): void {
    const strangers = [...this.#entries.keys()].filter((peer) => !this.#isAllowed(peer));
    for (const peer of strangers.slice(0, -STRANGER_ADDRESSES_MAX)) this.#entries.delete(peer);
  }
}

/** True for a multiaddr that an agent can listen on or be dialled at: an IP address or name, and a TCP port. */
export function isTcpAddress(address: string): boolean {
  return normalised(address).length > 0;
}

/** The IP address or name in a multiaddr such as /ip4/10.0.0.7/tcp/4001. */
export function hostOf(address: string): string {
  return address.split('/')[2] ?? '';
}

function withHost(address: string, host: string): string {
  const family = host.includes(':') ? 'ip6' : 'ip4';
  const [, , , ...rest] = address.split('/');
  return `/${family}/${host}/${rest.join('/')}`;
}

export function isLoopback(address: string): boolean {
  return isLoopbackHost(hostOf(address));
}

function isLoopbackHost(host: string): boolean {
  return host.startsWith('127.') || host === '::1';
}

/** The address in its one spelling, without /p2p; nothing for what is not a TCP multiaddr. */
function normalised(address: string): string[] {
  if (address.length > ADDRESS_LENGTH_MAX) return [];
  try {
    const parsed = multiaddr(address.replace(/\/p2p\/[^/]+$/, '')).toString();
    return /^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+$/.test(parsed) ? [parsed] : [];
  } catch {
    return [];
  }
}
