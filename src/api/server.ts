/** The HTTP API of an agent: Azure Batch's routes and ours, over a unix socket and, where wanted, over TCP. */
import { chmod, unlink } from 'node:fs/promises';
import { createConnection, isIP } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import type { Control } from '../model/control.ts';
import { type ApiLog, buildApp, StreamCount } from './app.ts';
import { Authenticator } from './authenticate.ts';
import type { ServerCertificate } from './authority.ts';
import { Connections } from './connections.ts';
import { FairShare } from './fair-share.ts';
import { isLoopback } from './host-guard.ts';
import { JobDirectory } from './job-directory.ts';
import { LargeBodies } from './large-bodies.ts';
import { MachineAddresses } from './machine-addresses.ts';
import type { Method } from './route.ts';
import { allRoutes } from './routes.ts';
import { Strangers } from './strangers.ts';

export interface ApiInit {
  readonly control: Control;
  readonly log: ApiLog;
  readonly clock: Clock;
  /** Host (and port) under which clients know this machine: for URLs in answers, and accepted as a Host header. */
  readonly accountUrlHost?: string;
  /** What requests are measured with. Default: the CPU time of this process. */
  readonly cpuUsedMs?: () => number;
}

export interface ApiServer {
  /** Trusts whoever can open the socket; its file mode is 0600. Rejects with `AgentRunning` where another process listens. */
  listenUnix(path: string): Promise<void>;
  /**
   * Wants SharedKey or a bearer token. Port 0 takes a free one; returns the one taken. Off loopback it wants a
   * certificate too: tokens must not be read on the way.
   */
  listenTcp(
    host: string,
    port: number,
    certificate?: ServerCertificate,
  ): Promise<{ readonly host: string; readonly port: number }>;
  /** Of the last TCP listener, without a slash at the end. */
  url(): string | undefined;
  /** Stops listening and cuts the connections. */
  close(): Promise<void>;
  /** A request without a socket, trusted as one over the unix socket is. */
  inject(request: InjectOptions): Promise<LightMyRequestResponse>;
  /** What is registered, as docs/api.md has it. */
  routes(): readonly { readonly method: Method; readonly path: string; readonly name: string }[];
}

export function createApi(init: ApiInit): ApiServer {
  return new HttpApi(init);
}

class HttpApi implements ApiServer {
  readonly #init: ApiInit;
  readonly #shared: Pick<
    Parameters<typeof buildApp>[0],
    'routes' | 'clock' | 'log' | 'accountUrlHost' | 'streams' | 'largeBodies' | 'fairShare'
  >;
  readonly #authenticator: Authenticator;
  readonly #connections: Connections;
  readonly #apps: FastifyInstance[] = [];
  #trusted: FastifyInstance | undefined;
  #url: string | undefined;

  constructor(init: ApiInit) {
    const { control, clock, log } = init;
    const jobs = new JobDirectory(control);
    const addresses = new MachineAddresses(control, clock);
    this.#init = init;
    this.#authenticator = new Authenticator(control, clock);
    this.#connections = new Connections(clock, new Strangers(clock));
    this.#shared = {
      routes: allRoutes({ control, clock, jobs, addresses }),
      clock,
      log,
      accountUrlHost: init.accountUrlHost ?? 'localhost',
      streams: new StreamCount(),
      largeBodies: new LargeBodies(clock),
      fairShare: new FairShare(clock, init.cpuUsedMs),
    };
  }

  async listenUnix(path: string): Promise<void> {
    await removeDeadSocket(path);
    const app = this.#add(buildApp(this.#shared));
    await app.listen({ path });
    await chmod(path, 0o600);
  }

  async listenTcp(
    host: string,
    port: number,
    certificate?: ServerCertificate,
  ): Promise<{ readonly host: string; readonly port: number }> {
    if (certificate === undefined && !isLoopback(host))
      throw new ShoalError('InvalidArgument', `Plain HTTP is served on loopback only, not on ${host}.`);
    const hostRule = { boundTo: host, ownNames: this.#ownNames() };
    const guard = { authenticator: this.#authenticator, hostRule, connections: this.#connections };
    const app = this.#add(
      buildApp({ ...this.#shared, guard, ...(certificate === undefined ? {} : { certificate }) }),
    );
    await app.listen({ host, port });
    const address = app.server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port');
    const name = isAnyAddress(host) ? hostname() : host;
    const scheme = certificate === undefined ? 'http' : 'https';
    this.#url = `${scheme}://${isIP(name) === 6 ? `[${name}]` : name}:${address.port}`;
    return { host, port: address.port };
  }

  url(): string | undefined {
    return this.#url;
  }

  async close(): Promise<void> {
    const apps = this.#apps.splice(0);
    this.#trusted = undefined;
    this.#url = undefined;
    this.#connections.cutAll();
    await Promise.all(
      apps.map((app) => {
        app.server.closeAllConnections();
        return app.close();
      }),
    );
  }

  inject(request: InjectOptions): Promise<LightMyRequestResponse> {
    this.#trusted ??= this.#add(buildApp(this.#shared));
    return this.#trusted.inject(request);
  }

  routes(): readonly { readonly method: Method; readonly path: string; readonly name: string }[] {
    return this.#shared.routes.map(({ method, path, name }) => ({ method, path, name }));
  }

  #add(app: FastifyInstance): FastifyInstance {
    this.#apps.push(app);
    return app;
  }

  #ownNames(): readonly string[] {
    const account = this.#init.accountUrlHost?.replace(/:\d+$/, '');
    return [
      hostname(),
      this.#init.control.status().machine.name,
      ...(account === undefined ? [] : [account]),
    ];
  }
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** A socket file outlives its process. One that still answers belongs to an agent. */
async function removeDeadSocket(path: string): Promise<void> {
  const state = await probe(path);
  if (state === 'alive') throw new ShoalError('AgentRunning', `Another agent answers on ${path}.`);
  if (state === 'dead') await unlink(path);
}

function probe(path: string): Promise<'absent' | 'dead' | 'alive'> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve('alive');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve('absent');
      else if (error.code === 'ECONNREFUSED') resolve('dead');
      else reject(error);
    });
  });
}
