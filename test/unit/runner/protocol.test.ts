import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  encodePayload,
  FrameReader,
  frame,
  runnerIdentity,
  socketPlace,
} from '../../../agent/runner/protocol.ts';
import { readMessage } from '../../../agent/runner/validation.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { RUNNER_FRAME_BYTES_MAX, UNIX_SOCKET_PATH_BYTES_MAX } from '../../../src/lib/limits.ts';
import { fc } from '../../support/properties.ts';
import { key } from './harness.ts';

describe('frames', () => {
  it('come out whole however the stream was cut', () => {
    // msgpackr renames this one key, so that no object gets a foreign prototype.
    const value = fc.jsonValue().filter((json) => !JSON.stringify(json).includes('__proto__'));
    fc.assert(
      fc.property(fc.array(value), fc.array(fc.integer({ min: 1, max: 9 })), (values, cuts) => {
        const bytes = Buffer.concat(values.map((value) => frame(encodePayload(value))));
        const reader = new FrameReader();
        const read: unknown[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const length = cuts[turn % Math.max(1, cuts.length)] ?? bytes.length;
          read.push(...reader.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(read).toEqual(JSON.parse(JSON.stringify(values)));
      }),
    );
  });

  it('keep undefined and bytes as they are', () => {
    const [value] = new FrameReader().push(frame(encodePayload({ a: undefined, b: new Uint8Array([1, 2]) })));
    expect(value).toEqual({ a: undefined, b: Buffer.from([1, 2]) });
  });

  it('that declare more than the bound are refused before a byte of them is kept', () => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(RUNNER_FRAME_BYTES_MAX + 1);
    expect(() => new FrameReader().push(header)).toThrowError(expect.objectContaining({ code: 'TooLarge' }));
  });
});

describe('a message to the runner', () => {
  const launch = {
    key: key(1),
    node: 'node',
    lease: 'pool',
    slots: 1,
    priority: 0,
    argv: ['/bin/true'],
    environment: { A: 'b' },
    taskDirectory: '/root/task',
    workingDirectory: '/root/task/wd',
    wallClockMsMax: undefined,
    outputBytesMax: 1,
  };

  it.each([
    { type: 'hello', version: 1 },
    { type: 'launch', launches: [launch] },
    { type: 'lease', lease: 'pool', fromMs: 1, deadlineMs: 3 },
    { type: 'ping' },
  ])('is taken: $type', (message) => {
    expect(readMessage(message)).toBe(message);
  });

  it.each([
    undefined,
    null,
    [],
    'ping',
    { type: 'toString' },
    { type: 'launch', launches: {} },
    { type: 'launch', launches: [{ ...launch, argv: [1] }] },
    { type: 'launch', launches: [{ ...launch, slots: -1 }] },
    { type: 'launch', launches: [{ ...launch, key: { pool: 'p' } }] },
    { type: 'launch', launches: [{ ...launch, environment: { A: 1 } }] },
    { type: 'lease', lease: 'pool', fromMs: 0, deadlineMs: Number.NaN },
    { type: 'configure', setup: { node: 'node' } },
  ])('is refused if it is not of the right shape: %j', (message) => {
    expect(() => readMessage(message)).toThrowError(ShoalError);
  });
});

describe('the socket', () => {
  it('lies in the runner directory where the kernel takes such a path', () => {
    expect(socketPlace('/var/lib/shoal/runner').path).toBe('/var/lib/shoal/runner/runner.sock');
  });

  it('lies in a short directory of its own where the path would be too long', () => {
    const long = join('/srv', 'x'.repeat(200));
    const place = socketPlace(long, '/tmp');
    expect(Buffer.byteLength(place.path)).toBeLessThanOrEqual(UNIX_SOCKET_PATH_BYTES_MAX);
    expect(place.path).toContain(runnerIdentity(long));
  });
});
