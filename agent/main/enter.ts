/** `shoal init` and what it shares with `shoal join`: how a machine comes to belong to a mesh. Neither starts the agent. */
import { randomBytes } from 'node:crypto';
import { access, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { ShoalError } from '../../src/lib/errors.ts';
import type { Log } from '../../src/lib/log.ts';
import { generateIdentity } from '../../src/mesh/identity.ts';
import { type Config, checkAddresses, saveConfig } from './config.ts';
import { createDirectories, type Paths } from './paths.ts';

/** Where an agent listens when it is told nothing: every address, the registered-looking port of Shoal. */
export const DEFAULT_LISTEN = '/ip4/0.0.0.0/tcp/7411';

export interface EnterOptions {
  readonly paths: Paths;
  readonly name: string | undefined;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly mdns: boolean;
  /** Where the HTTP API listens on TCP; undefined: nowhere. */
  readonly api: Pick<Config, 'apiPort' | 'apiHost'> | undefined;
  readonly labels: readonly string[];
  readonly log: Log;
}

/** Makes a mesh of this one machine. Throws AlreadyInitialized where the directory belongs to a mesh. */
export async function initMesh(options: EnterOptions): Promise<Config> {
  await prepare(options);
  const config: Config = {
    ...configOf(options, randomBytes(16).toString('hex')),
    founding: { accountName: 'shoal', accountKey: randomBytes(64).toString('base64') },
  };
  await saveConfig(options.paths.config, config);
  return config;
}

/** Makes the directory and the identity. */
export async function prepare({ paths, listen, announce }: EnterOptions): Promise<void> {
  checkAddresses({ listen: [...listen], announce: [...announce] });
  const present = await access(paths.config).then(
    () => true,
    () => false,
  );
  if (present)
    throw new ShoalError('AlreadyInitialized', `${paths.root} already belongs to a mesh.`, {
      directory: paths.root,
    });
  await createDirectories(paths);
  await writeFile(paths.identity, generateIdentity().privateKeyBytes, { mode: 0o600, flush: true });
}

export function configOf(options: EnterOptions, meshId: string): Config {
  return {
    meshId,
    name:
      options.name ??
      (hostname()
        .replace(/[^A-Za-z0-9._-]/g, '-')
        .replace(/^[^A-Za-z0-9]+/, '')
        .slice(0, 63) ||
        'machine'),
    listen: options.listen.length > 0 ? [...options.listen] : [DEFAULT_LISTEN],
    announce: [...options.announce],
    mdns: options.mdns,
    apiPort: null,
    ...options.api,
    capacity: options.labels.length > 0 ? { labels: [...options.labels] } : {},
    members: [],
    logLevel: 'info',
  };
}
