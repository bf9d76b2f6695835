/** `shoal init` and `shoal join`: how a machine comes to belong to a mesh. Neither starts the agent. */
import { randomBytes } from 'node:crypto';
import { access, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { systemClock } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { JOIN_TIMEOUT_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { VERSION } from '../../src/lib/version.ts';
import { generateIdentity, peerIdOf } from '../../src/mesh/identity.ts';
import { createMesh } from '../../src/mesh/mesh.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import { JOIN_REQUEST, JoinAnswer, JoinBody } from '../../src/wire/protocol.ts';
import { probeCapacity } from './capacity.ts';
import { type Config, checkAddresses, saveConfig } from './config.ts';
import { offerOf } from './machine-offer.ts';
import { createDirectories, type Paths } from './paths.ts';
import { parseToken, type Token } from './token.ts';

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

/** Enters the mesh of a token: registers this machine under the token's temporary identity. Throws InvalidToken, MachineExists or PeerUnreachable. */
export async function joinMesh(options: EnterOptions, tokenText: string): Promise<Config> {
  const token = parseToken(tokenText);
  await prepare(options);
  try {
    return await register(options, token);
  } catch (error) {
    // Nothing half done: without a configuration the next try starts from nothing.
    await rm(options.paths.identity, { force: true });
    await rm(options.paths.store, { recursive: true, force: true });
    throw error;
  }
}

async function register(options: EnterOptions, token: Token): Promise<Config> {
  const { paths, log } = options;
  const identity = await readFile(paths.identity);
  const store = await openLevelStore(paths.store);
  const config = configOf(options, token.meshId);
  const mesh = createMesh({
    privateKey: token.key,
    listen: [],
    mdns: false,
    meshId: token.meshId,
    clock: systemClock,
    log,
  });
  try {
    mesh.setAllowed(new Set(token.members.map(({ peer }) => peer)));
    await mesh.start();
    const machine = offerOf({
      peer: peerIdOf(identity),
      incarnation: store.incarnation,
      name: config.name,
      capacity: await probeCapacity(config, paths.root, 'scan'),
      addresses: config.announce,
      version: VERSION,
    });
    const answer = await askMembers(mesh, token, JoinBody.encode({ machine: machine as never }));
    const { members, name } = JoinAnswer.decode(answer);
    const joined = { ...config, name, members };
    await saveConfig(paths.config, joined);
    return joined;
  } finally {
    await mesh.stop();
    await store.close();
  }
}

/** Asks one member after another; an answer that refuses is final, silence is not. */
async function askMembers(
  mesh: ReturnType<typeof createMesh>,
  token: Token,
  body: Uint8Array,
): Promise<Uint8Array> {
  const deadline = AbortSignal.timeout(JOIN_TIMEOUT_MS);
  let last: ShoalError = new ShoalError('PeerUnreachable', 'No member named in the token can be reached.');
  for (const { peer, addresses } of token.members) {
    try {
      await mesh.dial(peer, addresses, deadline);
      return await mesh.request(peer, JOIN_REQUEST, body, { signal: deadline, timeoutMs: JOIN_TIMEOUT_MS });
    } catch (error) {
      last = asShoalError(error);
      if (!last.retryable && last.code !== 'NotAMember' && last.code !== 'InternalError') throw last;
    }
  }
  if (last.code === 'NotAMember')
    throw new ShoalError(
      'InvalidToken',
      'The mesh does not know this token: it was used, revoked, or has expired.',
    );
  throw new ShoalError(
    'PeerUnreachable',
    `${last.message} Is the machine that made the token up, and can this one reach ${token.members.flatMap(({ addresses }) => addresses).join(', ')}?`,
  );
}

async function prepare({ paths, listen, announce }: EnterOptions): Promise<void> {
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

function configOf(options: EnterOptions, meshId: string): Config {
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
