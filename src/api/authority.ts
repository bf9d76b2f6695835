/**
 * The mesh's own certificate authority, for the HTTP API off loopback. Its key is made from a secret that every member
 * has: there is nothing to install, to copy or to lose, and a client that trusts it once trusts every peer. Each agent
 * makes itself a certificate when it begins to listen.
 */

import { createECDH, hkdfSync, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { API_CERTIFICATE_VALID_MS } from '../lib/limits.ts';

const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING = { ...CURVE, hash: 'SHA-256' } as const;
/** Fixed, so that every member makes the same authority; its end is the end of what UTCTime can say. */
const VALID_FROM = new Date('2026-01-01T00:00:00Z');
const VALID_UNTIL = new Date('2049-12-31T00:00:00Z');
/** Clients' clocks may be behind. */
const BACKDATED_MS = 86_400_000;

export interface ServerCertificate {
  /** PEM, the server's own certificate alone: clients have the authority's. */
  readonly cert: string;
  readonly key: string;
}

export class Authority {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #name: string;

  private constructor(keys: webcrypto.CryptoKeyPair, name: string) {
    this.#keys = keys;
    this.#name = name;
  }

  /** `secret`: base64, `MeshSettings.apiSecret`. */
  static async of(meshId: string, secret: string): Promise<Authority> {
    cryptoProvider.set(webcrypto as Crypto);
    return new Authority(await authorityKeys(secret), `CN=Shoal mesh ${meshId.slice(0, 8)}`);
  }

  /** PEM. Two agents' copies differ in their signature over themselves, and in nothing that is looked at. */
  async certificate(): Promise<string> {
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: this.#name,
      keys: this.#keys,
      serialNumber: '01',
      notBefore: VALID_FROM,
      notAfter: VALID_UNTIL,
      signingAlgorithm: SIGNING,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(this.#keys.publicKey),
      ],
    });
    return certificate.toString('pem');
  }

  /** For a server that clients know by these names and addresses. */
  async issue(names: readonly string[], nowMs: number): Promise<ServerCertificate> {
    const keys = await webcrypto.subtle.generateKey(CURVE, true, ['sign', 'verify']);
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${names[0] ?? 'shoal'}`,
      issuer: this.#name,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: SIGNING,
      notBefore: new Date(nowMs - BACKDATED_MS),
      notAfter: new Date(nowMs + API_CERTIFICATE_VALID_MS),
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
        ),
        await AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
      ],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
    return {
      cert: certificate.toString('pem'),
      key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
    };
  }
}

async function authorityKeys(secret: string): Promise<webcrypto.CryptoKeyPair> {
  const curve = createECDH('prime256v1');
  const scalar = scalarOf(Buffer.from(secret, 'base64'));
  curve.setPrivateKey(scalar);
  const point = curve.getPublicKey();
  const common = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  };
  const { subtle } = webcrypto;
  const d = scalar.toString('base64url');
  return {
    privateKey: await subtle.importKey('jwk', { ...common, d }, CURVE, false, ['sign']),
    publicKey: await subtle.importKey('jwk', common, CURVE, true, ['verify']),
  };
}

/** Of the curve P-256 (SEC 2, secp256r1). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** Half as many bits more than the order has, so that no private key is likelier than another (FIPS 186-5, A.2.1). */
function scalarOf(secret: Uint8Array): Buffer {
  const bits = Buffer.from(hkdfSync('sha256', secret, '', 'shoal api authority', 48)).toString('hex');
  const scalar = (BigInt(`0x${bits}`) % (ORDER - 1n)) + 1n;
  return Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex');
}
