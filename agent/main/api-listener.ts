/** Where the HTTP API of this agent listens on TCP: plain on loopback, with a certificate of the mesh anywhere else. */
import { hostname, networkInterfaces } from 'node:os';
import { Authority } from '../../src/api/authority.ts';
import { isLoopback } from '../../src/api/host-guard.ts';
import type { ApiServer } from '../../src/api/server.ts';
import { apiSecretOf } from '../../src/lib/bearer-token.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Log } from '../../src/lib/log.ts';
import type { MeshSettings } from '../../src/model/commands.ts';
import type { Config } from './config.ts';

const DEFAULT_HOST = '127.0.0.1';
/** A machine that has just joined reads the mesh's settings from the log, which takes a moment. */
const SETTINGS_LOOK_MS = 200;

export interface ApiListenerOptions {
  readonly api: ApiServer;
  readonly config: Config;
  readonly settings: () => MeshSettings | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Resolves when it listens; off loopback at once, because that waits for the mesh and nothing shall wait for it. */
export async function listenOnTcp(options: ApiListenerOptions): Promise<void> {
  const { api, config, log } = options;
  const { apiPort, apiHost = DEFAULT_HOST } = config;
  if (apiPort === null) return;
  if (isLoopback(apiHost)) {
    await api.listenTcp(apiHost, apiPort);
    return;
  }
  listenWithCertificate(options, apiHost, apiPort).catch((error: unknown) =>
    log.error({ err: error, host: apiHost, port: apiPort }, 'the HTTP API cannot listen there'),
  );
}

async function listenWithCertificate(
  { api, config, settings, clock, log }: ApiListenerOptions,
  host: string,
  port: number,
): Promise<void> {
  let known = settings();
  while (known === undefined) {
    await new Promise<void>((resolve) => clock.after(SETTINGS_LOOK_MS, resolve));
    known = settings();
  }
  const authority = await Authority.of(known.meshId, apiSecretOf(known));
  await api.listenTcp(host, port, await authority.issue(namesOf(config.name, host), clock.wallMs()));
  log.info({ url: api.url() }, 'the HTTP API listens with a certificate of the mesh');
}

/** Under which clients may know this machine. */
function namesOf(name: string, host: string): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((own) =>
    (own ?? []).map(({ address }) => address),
  );
  return [...new Set([hostname(), name, 'localhost', ...addresses, host])];
}
