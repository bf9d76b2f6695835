/**
 * Hosts on a network of their own: a network namespace each, joined by a bridge in one more, so that the machine's own
 * network is neither used nor touched. Needs root and `ip` of iproute2.
 */
import { spawnSync } from 'node:child_process';

export class Lan {
  readonly #bridge: string;
  readonly #hosts: readonly string[];
  #subnet = '10.77.1';

  private constructor(hosts: number) {
    // `ip netns list` is one for the whole machine: ours are told by the name.
    const prefix = `shoal-${process.pid}`;
    this.#bridge = `${prefix}-lan`;
    this.#hosts = Array.from({ length: hosts }, (_, host) => `${prefix}-${host + 1}`);
  }

  /** Throws where namespaces cannot be made, and leaves none behind. */
  static create(hosts: number): Lan {
    if (process.geteuid?.() !== 0) throw new Error('network namespaces need root');
    if (spawnSync('ip', ['-V'], { stdio: 'ignore' }).status !== 0)
      throw new Error('network namespaces need `ip`, of the package iproute2');
    const lan = new Lan(hosts);
    try {
      lan.#build();
      return lan;
    } catch (error) {
      lan.remove();
      throw error;
    }
  }

  #build(): void {
    ip('netns', 'add', this.#bridge);
    ip('-n', this.#bridge, 'link', 'add', 'br0', 'up', 'type', 'bridge');
    for (const [index, host] of this.#hosts.entries()) {
      ip('netns', 'add', host);
      const port = portOf(index);
      ip(
        ...['link', 'add', 'eth0', 'netns', host, 'type', 'veth', 'peer', 'name', port],
        ...['netns', this.#bridge],
      );
      ip('-n', this.#bridge, 'link', 'set', port, 'master', 'br0', 'up');
      ip('-n', host, 'link', 'set', 'lo', 'up');
      ip('-n', host, 'link', 'set', 'eth0', 'up');
    }
    this.renumber(this.#subnet);
  }

  /** Put before a command that is to run on the host. */
  prefix(host: number): readonly string[] {
    return ['ip', 'netns', 'exec', this.#nameOf(host)];
  }

  address(host: number): string {
    return `${this.#subnet}.${host + 1}`;
  }

  /** Gives every host another address, as a router with another mind does. `subnet`: three numbers with dots. */
  renumber(subnet: string): void {
    this.#subnet = subnet;
    for (const [index, host] of this.#hosts.entries()) {
      ip('-n', host, 'address', 'flush', 'dev', 'eth0');
      ip('-n', host, 'address', 'add', `${this.address(index)}/24`, 'dev', 'eth0');
      // Without a default route the kernel has no way for multicast, and mDNS finds nobody without a word.
      ip('-n', host, 'route', 'replace', '224.0.0.0/4', 'dev', 'eth0');
    }
  }

  /** Pulls the plug at the switch. */
  cut(host: number): void {
    ip('-n', this.#bridge, 'link', 'set', portOf(host), 'down');
  }

  mend(host: number): void {
    ip('-n', this.#bridge, 'link', 'set', portOf(host), 'up');
  }

  /**
   * Lets nothing of `from` reach `to`, without a word to either; what `to` sends still arrives. A wrong hardware address
   * does it: the kernel sends on, and nobody takes it up.
   */
  silence(from: number, to: number): void {
    ip(
      ...['-n', this.#nameOf(from), 'neighbour', 'replace', this.address(to)],
      ...['lladdr', NOBODY, 'nud', 'permanent', 'dev', 'eth0'],
    );
  }

  unsilence(from: number, to: number): void {
    ip('-n', this.#nameOf(from), 'neighbour', 'delete', this.address(to), 'dev', 'eth0');
  }

  /** Only what was made here. Sockets of processes that still run in a namespace keep it until they end. */
  remove(): void {
    for (const name of [...this.#hosts, this.#bridge])
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  }

  #nameOf(host: number): string {
    const name = this.#hosts[host];
    if (name === undefined) throw new RangeError(`there is no host ${host}`);
    return name;
  }
}

/** Locally administered, and no host's. */
const NOBODY = '02:00:00:00:00:ff';

function portOf(host: number): string {
  return `port${host + 1}`;
}

function ip(...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync('ip', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
