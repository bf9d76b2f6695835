import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { hashOf } from '../../../agent/files/manifest.ts';
import { CHUNKS_PURPOSE, HAVE_REQUEST, HaveAnswer } from '../../../src/wire/files.ts';
import { idOf } from '../mesh-core/world.ts';
import { fastClock, noise, stream, type TestMesh, testMesh, until } from './machines.ts';
import type { MemoryPeer } from './memory-network.ts';

const MIB = 1024 * 1024;

/** A member that says it holds everything and answers streams of chunks as `answer` does. */
function liar(mesh: TestMesh, name: string, answer: (stream: Duplex) => void): MemoryPeer {
  const peer = mesh.network.join(idOf(name).split('/')[0] ?? '');
  peer.onRequest(HAVE_REQUEST, async () =>
    HaveAnswer.encode({ held: 'all', bitfield: null, fetchers: [], chunks: [] }),
  );
  peer.onBulk(CHUNKS_PURPOSE, (_from, _header, opened) => {
    opened.on('error', () => undefined);
    answer(opened);
  });
  return peer;
}

function frame(found: number, declared: number, bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(found);
  header.writeUInt32BE(declared, 1);
  return Buffer.concat([header, bytes]);
}

const lies: [string, (opened: Duplex) => void][] = [
  [
    'sends other bytes of the right length',
    (opened) =>
      void opened.on('data', (piece: Buffer) => {
        for (let at = 36; at <= piece.length; at += 32) opened.write(frame(1, 16_384, Buffer.alloc(16_384)));
      }),
  ],
  [
    'declares 4 GB',
    (opened) => void opened.on('data', () => opened.write(frame(1, 0xffff_ffff, Buffer.alloc(0)))),
  ],
  [
    'sends chunks that nobody asked for',
    (opened) => void opened.resume().write(frame(1, 5, Buffer.alloc(5))),
  ],
  [
    'says missing to everything',
    (opened) =>
      void opened.on('data', (piece: Buffer) => {
        for (let at = 36; at <= piece.length; at += 32) opened.write(frame(0, 0, Buffer.alloc(0)));
      }),
  ],
  ['says nothing', (opened) => void opened.resume()],
  ['hangs up at once', (opened) => void opened.destroy()],
];

test.each(lies)('a holder that %s costs nothing but its own chunks', async (_what, answer) => {
  const mesh = await testMesh(['a', 'b', 'l'], { clock: fastClock(10) });
  const [a, b, honest] = mesh.machines;
  await honest?.files.stop();
  const liarPeer = liar(mesh, 'l', answer);
  const bytes = noise(MIB);
  const content = await a?.files.ingest(stream(bytes));
  await b?.files.fetch(content?.manifest ?? '', [liarPeer.self, a?.peer ?? '']);
  const body = await b?.files.openContent(content?.manifest ?? '');
  expect(body && (await buffer(body)).equals(bytes)).toBe(true);
});

test('four receivers at once cost the source about one upload', async () => {
  const mesh = await testMesh(['a', 'b', 'c', 'd', 'e']);
  const [a, ...receivers] = mesh.machines;
  const bytes = noise(3 * MIB);
  const content = await a?.files.ingest(stream(bytes));
  mesh.network.sentBytes.clear();
  await Promise.all(receivers.map(({ files }) => files.fetch(content?.manifest ?? '', [a?.peer ?? ''])));
  const source = mesh.network.sentBytes.get(a?.peer ?? '') ?? 0;
  const total = [...mesh.network.sentBytes.values()].reduce((sum, sent) => sum + sent, 0);
  expect(total).toBeGreaterThan(4 * bytes.length * 0.99);
  expect(source).toBeLessThan(1.6 * bytes.length);
  for (const { files } of receivers) {
    expect(hashOf(await buffer(await files.openContent(content?.manifest ?? '')))).toBe(hashOf(bytes));
  }
});

test('chunks that are here already are not fetched again, and a source that dies is replaced', async () => {
  const mesh = await testMesh(['a', 'b', 'c']);
  const [a, b, c] = mesh.machines;
  const shared = noise(2 * MIB);
  const content = await a?.files.ingest(stream(Buffer.concat([shared, noise(MIB)])));
  await b?.files.ingest(stream(shared));
  mesh.network.sentBytes.clear();
  await b?.files.fetch(content?.manifest ?? '', [a?.peer ?? '']);
  expect(mesh.network.sentBytes.get(a?.peer ?? '')).toBeLessThan(1.05 * MIB);
  const coming = c?.files.fetch(content?.manifest ?? '', [a?.peer ?? '', b?.peer ?? '']);
  await until(async () => ((await c?.files.storedBytes()) ?? 0) > 300_000);
  mesh.network.cut(a?.peer ?? '');
  expect(await coming).toMatchObject({ sizeBytes: 3 * MIB });
});

test('two who ask for one content at one machine share one transfer', async () => {
  const mesh = await testMesh(['a', 'b']);
  const [a, b] = mesh.machines;
  const bytes = noise(MIB);
  const content = await a?.files.ingest(stream(bytes));
  mesh.network.sentBytes.clear();
  const aborter = new AbortController();
  const given = b?.files.fetch(content?.manifest ?? '', [a?.peer ?? ''], aborter.signal);
  const other = b?.files.fetch(content?.manifest ?? '', [a?.peer ?? '']);
  aborter.abort(new Error('enough'));
  await expect(given).rejects.toThrow('enough');
  await other;
  expect(mesh.network.sentBytes.get(a?.peer ?? '')).toBeLessThan(1.02 * MIB);
});

test('a content that nobody holds is BlobNotFound, a name that is no hash InvalidPropertyValue', async () => {
  const mesh = await testMesh(['a', 'b'], { clock: fastClock(10) });
  const [a] = mesh.machines;
  await expect(a?.files.fetch('0'.repeat(64), [])).rejects.toMatchObject({ code: 'BlobNotFound' });
  await expect(a?.files.fetch('../../etc/passwd', [])).rejects.toMatchObject({
    code: 'InvalidPropertyValue',
  });
});

test('want-lists that are malformed or endless, and strangers, are cut off', async () => {
  const mesh = await testMesh(['a', 'b']);
  const [a, b] = mesh.machines;
  const stranger = mesh.network.join('stranger');
  await expect(stranger.request(a?.peer ?? '', HAVE_REQUEST, new Uint8Array())).rejects.toMatchObject({
    code: 'NotAMember',
  });
  const cases: [MemoryPeer | undefined, Buffer][] = [
    [stranger, Buffer.from([0, 0, 0, 32])],
    [b?.network, Buffer.from([0, 0, 0, 31])],
    [b?.network, Buffer.from([0xff, 0xff, 0xff, 0xe0])],
    [b?.network, Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ];
  for (const [peer, bytes] of cases) {
    const opened = await peer?.openBulk(a?.peer ?? '', CHUNKS_PURPOSE, new Uint8Array());
    opened?.write(bytes);
    await until(() => opened?.destroyed === true);
  }
});
