import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Entry } from '../../../coordinator/consensus/index.ts';
import { bytesOf, SharedEntries, unpackEntries } from '../../../coordinator/driver/shared-entries.ts';
import {
  FRAME_BYTES_MAX,
  SHARED_ENTRIES_BYTES_MIN,
  SHARED_ENTRIES_MEMBERS_MIN,
} from '../../../src/lib/limits.ts';
import { LogEntries, RAFT_CHANNEL, RaftFrame } from '../../../src/wire/protocol.ts';
import { FewMachines } from './few-machines.ts';

function entryOf(bytes: number, index = 8): Entry {
  return { index, term: 3, kind: 'command', data: new Uint8Array(bytes).fill(7) };
}

const append = { group: 'mesh', generation: 0, previousIndex: 7 };

test('what many members get alike is packed once, and is what it was', () => {
  const shared = new SharedEntries();
  const entries = [entryOf(SHARED_ENTRIES_BYTES_MIN), entryOf(1, 9)];
  for (let member = 1; member < SHARED_ENTRIES_MEMBERS_MIN; member++)
    expect(shared.pack({ ...append, entries })).toBeUndefined();
  const packed = shared.pack({ ...append, entries });
  expect(shared.pack({ ...append, entries })).toBe(packed);
  expect(packed?.deflated.length).toBeLessThan(SHARED_ENTRIES_BYTES_MIN / 4);
  const unpacked = packed && unpackEntries(packed);
  expect(unpacked?.map((entry) => ({ ...entry, data: new Uint8Array(entry.data) }))).toEqual(entries);
});

test('few members, small entries and others at the same place are no reason to pack', () => {
  const shared = new SharedEntries();
  const entries = [entryOf(SHARED_ENTRIES_BYTES_MIN)];
  for (let time = 0; time < SHARED_ENTRIES_MEMBERS_MIN; time++) {
    expect(shared.pack({ ...append, entries: [entryOf(100)] })).toBeUndefined();
    expect(shared.pack({ ...append, previousIndex: time, entries })).toBeUndefined();
    expect(shared.pack({ ...append, generation: time + 1, entries })).toBeUndefined();
  }
});

test('packed entries that are none, are others than said or would fill the memory are refused', () => {
  const pack = (bytes: Uint8Array, count: number) => ({ count, deflated: deflateRawSync(bytes) });
  expect(() => unpackEntries({ count: 1, deflated: new Uint8Array([1, 2, 3]) })).toThrow();
  expect(() => unpackEntries(pack(LogEntries.encode([entryOf(1)]), 2))).toThrow();
  expect(() => unpackEntries(pack(new Uint8Array(2 * FRAME_BYTES_MAX), 1))).toThrow();
});

test('a large change of the mesh reaches all who follow it, and those beyond the first few get it packed', async () => {
  const names = Array.from({ length: 2 * SHARED_ENTRIES_MEMBERS_MIN }, (_, number) => `m${number}`);
  const mesh = await FewMachines.found(1, ...names);
  const sent = { plain: 0, packed: 0 };
  for (const { endpoint } of mesh.machines.values()) {
    const send = endpoint.send.bind(endpoint);
    endpoint.send = (peer, channel, payload) => {
      if (channel === RAFT_CHANNEL)
        for (const { message } of RaftFrame.decode(payload).messages)
          if (message.kind === 'append' && message.packed !== undefined) sent.packed += 1;
          else if (message.kind === 'append' && bytesOf(message.entries) >= SHARED_ENTRIES_BYTES_MIN)
            sent.plain += 1;
      return send(peer, channel, payload);
    };
  }
  await mesh.propose('m0', {
    kind: 'pool.add',
    spec: { id: 'p', vmSize: 'shoal.1c1g', metadata: [{ name: 'note', value: 'long '.repeat(2_000) }] },
    voters: [mesh.idOf('m0')],
  });
  const noteOf = (name: string): string | undefined =>
    mesh.machine(name).coordinator.mesh?.pool('p')?.spec.metadata?.[0]?.value;
  await mesh.until('all have the pool', () => names.every((name) => noteOf(name)?.length === 10_000));
  // No more than these: nobody had to ask again.
  expect(sent).toEqual({
    plain: SHARED_ENTRIES_MEMBERS_MIN - 1,
    packed: names.length - SHARED_ENTRIES_MEMBERS_MIN,
  });
});
