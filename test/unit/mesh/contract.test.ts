import { expect, test } from 'vitest';
import { asText, gossipReaches, pair, until, utf8 } from './meshes.ts';

test('two nodes exchange one gossip message, with its author', async () => {
  const [a, b] = await pair();
  const received: string[] = [];
  b.subscribe('news', (from, payload) => received.push(`${from} ${asText(payload)}`));
  await gossipReaches(a, b);
  a.publish('news', utf8('hello'));
  await until(() => received.length > 0);
  expect(received).toEqual([`${a.self} hello`]);
});
