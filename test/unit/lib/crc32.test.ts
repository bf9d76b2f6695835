import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { crcOfBytes, crcOfText } from '../../../src/lib/crc32.ts';
import { fc } from '../../support/properties.ts';

const seeds = fc.integer({ min: 0, max: 0xffffffff });

test('the CRC of bytes is that of zlib, from any place, for short and long ones', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(8), seeds, (bytes, from, seed) => {
      const start = Math.min(from, bytes.length);
      // Of a view without memory behind it Node's own forgets the seed.
      const expected = start === bytes.length ? seed : crc32(bytes.subarray(start), seed);
      expect(crcOfBytes(bytes, start, seed)).toBe(expected);
    }),
  );
});

test('the CRC of a text is that of its UTF-8', () => {
  const texts = fc.oneof(fc.string({ maxLength: 400 }), fc.string({ unit: 'binary', maxLength: 60 }));
  fc.assert(
    fc.property(texts, seeds, (text, seed) => {
      expect(crcOfText(text, seed)).toBe(crc32(text, seed));
    }),
  );
});

test('the CRC of parts, one seeded with the other, is that of the whole', () => {
  expect(crcOfText('r/key', crcOfText('+'))).toBe(crcOfText('+r/key'));
  expect(crcOfBytes(Uint8Array.of(1, 2, 3), 1, crcOfText('é'))).toBe(
    crc32(Buffer.concat([Buffer.from('é'), Buffer.of(2, 3)])),
  );
});
