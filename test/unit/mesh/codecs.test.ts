import { describe, expect, test } from 'vitest';
import { ShoalError } from '../../../src/lib/errors.ts';
import { GOSSIP_REPLAY_WINDOW } from '../../../src/lib/limits.ts';
import { openEnvelope, sealEnvelope, verifyEnvelope } from '../../../src/mesh/envelope.ts';
import {
  answerFrame,
  BadFrameError,
  cancelFrame,
  decodeFrame,
  type Frame,
  type FrameParts,
  FrameReader,
  failureFrame,
  helloFrame,
  messageFrame,
  PING_FRAME,
  PONG_FRAME,
  refusalFrame,
  requestFrame,
} from '../../../src/mesh/frames.ts';
import {
  generateIdentity,
  peerIdOf,
  publicKeyOf,
  signingKeyOf,
  verifyingKeyOf,
} from '../../../src/mesh/identity.ts';
import { ReplayWindow } from '../../../src/mesh/replay-window.ts';
import { fc } from '../../support/properties.ts';

const id = fc.nat({ max: 0xffff_ffff });
const name = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' });
const payload = fc
  .oneof(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ minLength: 9_000, maxLength: 20_000 }))
  .map(Buffer.from);
const error = fc
  .record({
    message: fc.string(),
    values: fc.dictionary(fc.stringMatching(/^[a-z]+$/), fc.string(), { maxKeys: 4 }),
  })
  .map(({ message, values }) => new ShoalError('TaskNotFound', message, values));
const hello = fc.record({
  meshId: fc.string(),
  protocol: fc.nat(),
  software: fc.string({ maxLength: 20 }),
  boot: fc.nat(),
  addresses: fc.array(fc.string({ maxLength: 60 }), { maxLength: 5 }),
});

const frame: fc.Arbitrary<[Frame, FrameParts]> = fc.oneof(
  hello.map((value): [Frame, FrameParts] => [{ kind: 'hello', hello: value }, helloFrame(value)]),
  fc.constant<[Frame, FrameParts]>([{ kind: 'ping' }, PING_FRAME]),
  fc.constant<[Frame, FrameParts]>([{ kind: 'pong' }, PONG_FRAME]),
  fc
    .tuple(name, payload)
    .map(([channel, bytes]): [Frame, FrameParts] => [
      { kind: 'message', channel, payload: bytes },
      messageFrame(channel, bytes),
    ]),
  fc
    .tuple(id, name, payload)
    .map(([number, method, bytes]): [Frame, FrameParts] => [
      { kind: 'request', id: number, method, payload: bytes },
      requestFrame(number, method, bytes),
    ]),
  fc
    .tuple(id, payload)
    .map(([number, bytes]): [Frame, FrameParts] => [
      { kind: 'answer', id: number, payload: bytes },
      answerFrame(number, bytes),
    ]),
  fc
    .tuple(id, error)
    .map(([number, thrown]): [Frame, FrameParts] => [
      { kind: 'failure', id: number, error: thrown },
      failureFrame(number, thrown),
    ]),
  id.map((number): [Frame, FrameParts] => [{ kind: 'cancel', id: number }, cancelFrame(number)]),
  error.map((thrown): [Frame, FrameParts] => [{ kind: 'refusal', error: thrown }, refusalFrame(thrown)]),
);

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [
    0,
    ...places.map((place) => place % (bytes.byteLength + 1)).sort((a, b) => a - b),
    bytes.byteLength,
  ];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

describe('frames', () => {
  test('what is written is read, in order, wherever the network cuts it', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (frames, places) => {
          const bytes = Buffer.concat(frames.flatMap(([, parts]) => parts));
          const reader = new FrameReader();
          const read: Frame[] = [];
          for (const chunk of cut(bytes, places)) reader.push(chunk, (one) => read.push(one));
          expect(read).toEqual(frames.map(([value]) => value));
        },
      ),
    );
  });

  test('any bytes are read or refused with BadFrameError, nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (bytes) => {
        try {
          decodeFrame(Buffer.from(bytes));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(BadFrameError);
        }
      }),
    );
  });

  test('the largest error that can be sent can be read', () => {
    const values = Object.fromEntries(
      Array.from({ length: 40 }, (_, at) => [`${at}\u0001`.repeat(100), '\u0001'.repeat(1_000)]),
    );
    const reader = new FrameReader();
    const read: Frame[] = [];
    const parts = failureFrame(1, new ShoalError('TaskNotFound', '\u0001'.repeat(10_000), values));
    reader.push(Buffer.concat([...parts]), (one) => read.push(one));
    expect(read).toHaveLength(1);
  });

  test('an error code this version does not know becomes InternalError, its message kept', () => {
    const body = Buffer.from(
      JSON.stringify({ code: 'FromTheFuture', message: 'later', values: { a: 'b', c: 1 } }),
    );
    const decoded = decodeFrame(Buffer.concat([Buffer.from([7, 0, 0, 0, 1]), body]));
    expect(decoded).toMatchObject({
      kind: 'failure',
      error: { code: 'InternalError', message: 'later', values: { a: 'b' } },
    });
  });
});

describe('envelopes', () => {
  const { peerId, privateKeyBytes } = generateIdentity();
  const publicKey = Buffer.from(publicKeyOf(peerId) ?? []);
  const key = signingKeyOf(privateKeyBytes);
  const verifying = verifyingKeyOf(publicKey);

  test('one flipped bit anywhere, or another topic, breaks the signature', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(), fc.nat({ max: 7 }), (bytes, place, bit) => {
        const sealed = sealEnvelope(
          { publicKey, boot: 7, sequence: 9, payload: Buffer.from(bytes) },
          'topic',
          key,
        );
        expect(openEnvelope(sealed)).toEqual({
          publicKey,
          boot: 7,
          sequence: 9,
          payload: Buffer.from(bytes),
        });
        expect(verifyEnvelope(sealed, 'topic', verifying)).toBe(true);
        expect(verifyEnvelope(sealed, 'topic2', verifying)).toBe(false);
        const at = place % sealed.byteLength;
        sealed[at] = (sealed[at] ?? 0) ^ (1 << bit);
        expect(openEnvelope(sealed) !== undefined && verifyEnvelope(sealed, 'topic', verifying)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test('an identity has one PeerId, and other key bytes are refused', () => {
    expect(peerIdOf(privateKeyBytes)).toBe(peerId);
    expect(peerId).toMatch(/^12D3KooW/);
    expect(() => peerIdOf(privateKeyBytes.subarray(1))).toThrow(/64 bytes/);
    expect(publicKeyOf('not a peer id')).toBeUndefined();
  });
});

describe('the replay window', () => {
  test('admits each number once, in any order, and only those that are not too old', () => {
    const near = fc.nat({ max: 3 * GOSSIP_REPLAY_WINDOW });
    fc.assert(
      fc.property(fc.array(near, { maxLength: 200 }), (numbers) => {
        const window = new ReplayWindow();
        const seen = new Set<number>();
        let newest = -1;
        for (const number of numbers) {
          const fresh = !seen.has(number) && number > newest - GOSSIP_REPLAY_WINDOW;
          expect(window.admit(number)).toBe(fresh);
          seen.add(number);
          newest = Math.max(newest, number);
        }
      }),
    );
  });
});
