import { type KeyObject, sign, verify } from 'node:crypto';

/**
 * The signed wrapping of one gossip message. gossipsub's own signatures (StrictSign) cost twice this one's CPU, and it
 * would know nothing of a sender's life or sequence.
 *
 * | version 1 | sender's public key 32 | boot 6 | sequence 6 | payload | signature 64 |
 *
 * The signature covers the topic too, so that a message cannot be carried over to another one.
 */
export interface Envelope {
  readonly publicKey: Buffer;
  /** When the sender's node started, wall-clock milliseconds. */
  readonly boot: number;
  /** Counts the sender's messages since then, from 0, over all topics. */
  readonly sequence: number;
  readonly payload: Buffer;
}

export const ENVELOPE_OVERHEAD_BYTES = 1 + 32 + 6 + 6 + 64;

const VERSION = 1;
const KEY_AT = 1;
const BOOT_AT = 33;
const SEQUENCE_AT = 39;
const PAYLOAD_AT = 45;
const SIGNATURE_BYTES = 64;

export function sealEnvelope(envelope: Envelope, topic: string, key: KeyObject): Buffer {
  const { publicKey, boot, sequence, payload } = envelope;
  const sealed = Buffer.allocUnsafe(ENVELOPE_OVERHEAD_BYTES + payload.byteLength);
  sealed[0] = VERSION;
  sealed.set(publicKey, KEY_AT);
  sealed.writeUIntBE(boot, BOOT_AT, 6);
  sealed.writeUIntBE(sequence, SEQUENCE_AT, 6);
  sealed.set(payload, PAYLOAD_AT);
  const signed = sealed.subarray(0, sealed.byteLength - SIGNATURE_BYTES);
  sealed.set(sign(null, signedBytes(topic, signed), key), signed.byteLength);
  return sealed;
}

/** The fields, unverified; undefined where the bytes are no envelope of this version. */
export function openEnvelope(sealed: Buffer): Envelope | undefined {
  if (sealed.byteLength < ENVELOPE_OVERHEAD_BYTES || sealed[0] !== VERSION) return undefined;
  return {
    publicKey: sealed.subarray(KEY_AT, BOOT_AT),
    boot: sealed.readUIntBE(BOOT_AT, 6),
    sequence: sealed.readUIntBE(SEQUENCE_AT, 6),
    payload: sealed.subarray(PAYLOAD_AT, sealed.byteLength - SIGNATURE_BYTES),
  };
}

export function verifyEnvelope(sealed: Buffer, topic: string, key: KeyObject): boolean {
  const signedLength = sealed.byteLength - SIGNATURE_BYTES;
  return verify(
    null,
    signedBytes(topic, sealed.subarray(0, signedLength)),
    key,
    sealed.subarray(signedLength),
  );
}

function signedBytes(topic: string, fields: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`shoal-gossip-1\0${topic}\0`), fields]);
}
