/** A real HTTP server on a unix socket or a loopback port, whose answers a test gives. */
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface SeenRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export type Responder = (request: SeenRequest, response: http.ServerResponse) => void | Promise<void>;

export class LocalServer {
  readonly seen: SeenRequest[] = [];
  readonly #server: http.Server;
  readonly #directory: string;
  readonly socket: string;
  respond: Responder = (_request, response) => void response.writeHead(404).end();

  private constructor(directory: string) {
    this.#directory = directory;
    this.socket = path.join(directory, 'api.sock');
    this.#server = http.createServer((incoming, response) => void this.#answer(incoming, response));
  }

  static async onSocket(): Promise<LocalServer> {
    const server = new LocalServer(await mkdtemp(path.join(tmpdir(), 'shoal-client-')));
    await new Promise<void>((resolve) => server.#server.listen(server.socket, resolve));
    return server;
  }

  static async onPort(): Promise<LocalServer> {
    const server = new LocalServer(await mkdtemp(path.join(tmpdir(), 'shoal-client-')));
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true });
  }

  async #answer(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return; // The client went away in the middle of its request.
    }
    const { method = '', url: target = '', headers } = incoming;
    const request = { method, target, headers, body: Buffer.concat(chunks).toString() };
    this.seen.push(request);
    await this.respond(request, response);
  }
}

export function sendJson(response: http.ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** An error as the API writes it. */
export function sendError(
  response: http.ServerResponse,
  status: number,
  code: string,
  details: { values?: Record<string, string>; hint?: string; headers?: Record<string, string> } = {},
): void {
  const values = Object.entries(details.values ?? {}).map(([key, value]) => ({ key, value }));
  const message = { lang: 'en-US', value: `It is ${code}.\nRequestId:1\nTime:2026-01-01T00:00:00.0000000Z` };
  const hint = details.hint === undefined ? {} : { hint: details.hint };
  const body = JSON.stringify({ code, message, values, ...hint });
  response.writeHead(status, { 'request-id': 'r-1', ...details.headers }).end(body);
}
