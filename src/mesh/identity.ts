import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { privateKeyFromRaw } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { ShoalError } from '../lib/errors.ts';

const SEED_BYTES = 32;

/** A new ed25519 identity. `privateKeyBytes` is 64 bytes, seed then public key: the machine's secret, to be stored with mode 600. */
export function generateIdentity(): { peerId: string; privateKeyBytes: Uint8Array } {
  const { d, x } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const privateKeyBytes = Buffer.concat([
    Buffer.from(d ?? '', 'base64url'),
    Buffer.from(x ?? '', 'base64url'),
  ]);
  return { peerId: peerIdOf(privateKeyBytes), privateKeyBytes };
}

/** The PeerId (base58) of a private key made by `generateIdentity`. Throws `InvalidArgument` for any other bytes. */
export function peerIdOf(privateKeyBytes: Uint8Array): string {
  return peerIdFromPrivateKey(libp2pKeyOf(privateKeyBytes)).toString();
}

export function libp2pKeyOf(privateKeyBytes: Uint8Array): PrivateKey {
  if (privateKeyBytes.byteLength !== 2 * SEED_BYTES) {
    throw new ShoalError(
      'InvalidArgument',
      'A private key has 64 bytes: the ed25519 seed and its public key.',
    );
  }
  return privateKeyFromRaw(privateKeyBytes);
}

/** The same key for node:crypto: signing there costs 36 us, in @libp2p/crypto 89 us. */
export function signingKeyOf(privateKeyBytes: Uint8Array): KeyObject {
  const seed = Buffer.from(privateKeyBytes.subarray(0, SEED_BYTES));
  const publicKey = Buffer.from(privateKeyBytes.subarray(SEED_BYTES));
  return createPrivateKey({
    key: { kty: 'OKP', crv: 'Ed25519', d: seed.toString('base64url'), x: publicKey.toString('base64url') },
    format: 'jwk',
  });
}

/** The raw public key inside an ed25519 PeerId (its multihash is the identity), or undefined for any other text. */
export function publicKeyOf(peer: string): Uint8Array | undefined {
  try {
    const key = peerIdFromString(peer).publicKey;
    return key?.type === 'Ed25519' ? key.raw : undefined;
  } catch {
    return undefined;
  }
}

export function verifyingKeyOf(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}
