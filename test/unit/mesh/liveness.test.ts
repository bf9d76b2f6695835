import { expect, test } from 'vitest';
import { PEER_SILENCE_MS } from '../../../src/lib/limits.ts';
import { fastClock, startMesh, until, utf8 } from './meshes.ts';
import { forkPeer } from './peer-process.ts';

/** This side is so much more impatient than its peer: no test waits for a real silence. */
const SPEED = 4;

async function withChild() {
  const mesh = await startMesh({ clock: fastClock(SPEED) });
  const { child, ready } = await forkPeer([mesh.self]);
  mesh.setAllowed(new Set([mesh.self, ready.self]));
  await mesh.dial(ready.self, ready.addresses);
  const downs: number[] = [];
  mesh.onPeer((_peer, up) => up || downs.push(performance.now()));
  return { mesh, child, peer: ready.self, downs };
}

test('a peer killed with SIGKILL is noticed within a second; its requests and streams fail', async () => {
  const { mesh, child, peer, downs } = await withChild();
  const stream = await mesh.openBulk(peer, 'endless', utf8(''));
  const broken = new Promise<Error>((resolve) => stream.once('error', resolve));
  stream.resume();
  const asked = mesh.request(peer, 'hang', utf8(''));
  asked.catch(() => {});
  await mesh.request(peer, 'echo', utf8(''));
  const killedMs = performance.now();
  child.kill('SIGKILL');
  await expect(asked).rejects.toMatchObject({ code: 'PeerUnreachable' });
  expect(await broken).toMatchObject({ code: 'PeerUnreachable' });
  expect((downs[0] ?? Number.POSITIVE_INFINITY) - killedMs).toBeLessThan(1_000);
  expect(mesh.connected()).toEqual([]);
});

test('a peer that stops without a word (SIGSTOP) is cut after its silence, and comes back when it wakes', async () => {
  const { mesh, child, peer, downs } = await withChild();
  const stoppedMs = performance.now();
  child.kill('SIGSTOP');
  await expect(mesh.request(peer, 'echo', utf8(''), { timeoutMs: 60_000 })).rejects.toMatchObject({
    code: 'PeerUnreachable',
  });
  const silenceMs = SPEED * ((downs[0] ?? 0) - stoppedMs);
  expect(silenceMs).toBeGreaterThan(PEER_SILENCE_MS - 1_500);
  expect(silenceMs).toBeLessThan(PEER_SILENCE_MS + 3_000);
  expect(mesh.counters.linksSilent).toBe(1);
  child.kill('SIGCONT');
  await until(() => mesh.isConnected(peer));
  expect(Buffer.from(await mesh.request(peer, 'echo', utf8('awake'))).toString()).toBe('awake');
});

test('a stall of this process is not taken for the silence of its peers', async () => {
  const { mesh, peer, downs } = await withChild();
  const stallMs = (1.5 * PEER_SILENCE_MS) / SPEED;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs);
  await mesh.request(peer, 'echo', utf8(''));
  expect(mesh.counters.linksSilent).toBe(0);
  expect(downs).toEqual([]);
});
