import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { asShoalError, ShoalError } from '../lib/errors.ts';
import { BULK_CONNECT_MS, BULK_SOCKETS_MAX } from '../lib/limits.ts';
import type { BulkPipe } from './bulk-duplex.ts';
import { ReadMemory, socketPipe } from './bulk-pipes.ts';
import type { BulkTickets, Ticket } from './bulk-tickets.ts';

/**
 * TLS 1.3 with an external pre-shared key: no certificates, forward secret, and a socket belongs to exactly the ticket
 * whose key it proves. It moves three times as much per CPU second as a libp2p stream.
 */
const TLS_OPTIONS = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256',
} as const satisfies TlsOptions;

/** Where bulk sockets come in. A socket without a valid ticket does not survive its handshake. */
export class BulkServer<Use> {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(
    tickets: BulkTickets<Use>,
    onSocket: (ticket: Ticket<Use>, socket: Socket) => void,
    onRefused: () => void,
  ) {
    const ticketOf = new WeakMap<TLSSocket, Ticket<Use>>();
    const pskCallback = (socket: TLSSocket, identity: string): Buffer | null => {
      // Taken before the key is proved: whoever guesses with the right id has had the one try.
      const ticket = tickets.take(identity);
      if (ticket === undefined) return null;
      ticketOf.set(socket, ticket);
      return ticket.key;
    };
    this.#server = createServer(
      { ...TLS_OPTIONS, pskCallback, handshakeTimeout: BULK_CONNECT_MS },
      (socket) => {
        const ticket = ticketOf.get(socket);
        if (ticket === undefined) socket.destroy();
        else onSocket(ticket, socket);
      },
    );
    this.#server.maxConnections = BULK_SOCKETS_MAX;
    this.#server.on('tlsClientError', onRefused);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(host: string, port: number): Promise<void> {
    this.#server.listen({ host, port });
    await once(this.#server, 'listening');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Opens a bulk socket with a ticket of the other side. Rejects with `PeerUnreachable` within BULK_CONNECT_MS. */
export async function connectBulk(
  host: string,
  port: number,
  id: string,
  key: Buffer,
  signal: AbortSignal,
): Promise<BulkPipe> {
  const memory = new ReadMemory();
  const options = {
    ...TLS_OPTIONS,
    host,
    port,
    onread: memory,
    // The key is the only identity here; there is no certificate whose name could be checked.
    pskCallback: () => ({ psk: key, identity: id }),
    checkServerIdentity: () => undefined,
  };
  const socket = connect(options);
  const giveUp = AbortSignal.any([signal, AbortSignal.timeout(BULK_CONNECT_MS)]);
  try {
    await once(socket, 'secureConnect', { signal: giveUp });
    return socketPipe(socket, memory);
  } catch (thrown) {
    socket.on('error', () => {});
    socket.destroy();
    const message = `No bulk socket to ${host} port ${port}: ${asShoalError(thrown).message}.`;
    throw new ShoalError('PeerUnreachable', message, { host, port: String(port) }, { cause: thrown });
  }
}
