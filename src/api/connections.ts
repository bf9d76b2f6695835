/**
 * The connections of a TCP listener, from before their first byte is read. One that ends without a request that was
 * signed by somebody counts as a failure of its address; new ones of an address that failed too often are listened to one
 * after another. Holding them costs a file descriptor; cutting them at once would let a hostile client try again at once,
 * and to take and cut a connection costs as much as a small request.
 */
import type { Server, Socket } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import {
  API_CONNECTIONS_MAX,
  API_CONNECTIONS_PER_ADDRESS_MAX,
  STRANGER_FAILURES_PER_CONNECTION_MAX,
} from '../lib/limits.ts';
import { addressKey, type Strangers } from './strangers.ts';

interface Connection {
  readonly address: string;
  readonly socket: Socket;
  /** A request on it was let in. */
  admitted: boolean;
  failures: number;
}

/** What becomes of a request that was not let in. */
export type Refusal =
  | { readonly kind: 'answer'; readonly afterMs: number; readonly close: boolean }
  | { readonly kind: 'cut' };

export class Connections {
  readonly #clock: Clock;
  readonly #strangers: Strangers;
  /** In order of arrival, by remote address and port: a TLS connection and the TCP connection below it share them. */
  readonly #open = new Map<string, Connection>();
  readonly #perAddress = new Map<string, number>();

  constructor(clock: Clock, strangers: Strangers) {
    this.#clock = clock;
    this.#strangers = strangers;
  }

  /** Takes the place of whoever listens to the server's new connections, and hands them on. */
  guard(server: Server): void {
    const listeners = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) =>
      this.#arrived(socket, () => {
        for (const listener of listeners) Reflect.apply(listener, server, [socket]);
      }),
    );
  }

  /** A request of this connection was let in. */
  admitted(socket: Socket): void {
    const connection = this.#open.get(keyOf(socket));
    if (connection !== undefined) connection.admitted = true;
  }

  /** A request of this connection was not let in. */
  failed(socket: Socket): Refusal {
    const connection = this.#open.get(keyOf(socket));
    if (connection === undefined) return { kind: 'answer', afterMs: 0, close: true };
    connection.failures += 1;
    const afterMs = this.#strangers.failed(connection.address);
    if (afterMs === undefined) return { kind: 'cut' };
    const close = afterMs > 0 || connection.failures >= STRANGER_FAILURES_PER_CONNECTION_MAX;
    return { kind: 'answer', afterMs, close };
  }

  /** Also those that nobody listens to yet. */
  cutAll(): void {
    for (const { socket } of [...this.#open.values()]) socket.destroy();
  }

  #arrived(socket: Socket, listen: () => void): void {
    socket.on('error', () => undefined);
    const address = addressKey(socket.remoteAddress);
    const count = this.#perAddress.get(address) ?? 0;
    if (count >= API_CONNECTIONS_PER_ADDRESS_MAX || !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    const connection: Connection = { address, socket, admitted: false, failures: 0 };
    const key = keyOf(socket);
    this.#open.set(key, connection);
    this.#perAddress.set(address, count + 1);
    socket.once('close', () => this.#left(key, connection));
    const waitMs = this.#strangers.arrived(address);
    if (waitMs === undefined) socket.destroy();
    else if (waitMs === 0) listen();
    else {
      const timer = this.#clock.after(waitMs, listen);
      socket.once('close', () => timer.cancel());
    }
  }

  #left(key: string, { address, admitted, failures }: Connection): void {
    this.#open.delete(key);
    const count = (this.#perAddress.get(address) ?? 1) - 1;
    if (count > 0) this.#perAddress.set(address, count);
    else this.#perAddress.delete(address);
    if (!admitted && failures === 0) this.#strangers.failed(address);
  }

  /** Of the address with the most connections, the oldest that was never let in goes first. */
  #makeRoom(): boolean {
    if (this.#open.size < API_CONNECTIONS_MAX) return true;
    const [crowded] = [...this.#perAddress].sort(([, left], [, right]) => right - left)[0] ?? [];
    for (const { address, admitted, socket } of this.#open.values()) {
      if (admitted || address !== crowded) continue;
      socket.destroy();
      return true;
    }
    return false;
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
