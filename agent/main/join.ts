/** `shoal join`. A part of its own, as most of a mesh node is loaded for it. */
import { readFile, rm } from 'node:fs/promises';
import { systemClock } from '../../src/lib/clock.ts';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { JOIN_TIMEOUT_MS } from '../../src/lib/limits.ts';
import { VERSION } from '../../src/lib/version.ts';
import { peerIdOf } from '../../src/mesh/identity.ts';
import { createMesh } from '../../src/mesh/mesh.ts';
import { openLevelStore } from '../../src/store/level-store.ts';
import { JOIN_REQUEST, JoinAnswer, JoinBody } from '../../src/wire/protocol.ts';
import { probeCapacity } from './capacity.ts';
import { type Config, saveConfig } from './config.ts';
import { configOf, type EnterOptions, prepare } from './enter.ts';
import { offerOf } from './machine-offer.ts';
import { parseToken, type Token } from './token.ts';

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
      capacity: await probeCapacity(config, paths.root, 'scan', undefined),
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
