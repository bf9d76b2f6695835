import { expect, test } from 'vitest';
import { withNodes } from './pool-harness.ts';

test('a task is added, assigned, started and completed', async () => {
  const h = withNodes(1);
  h.add('j', { id: 'a' });
  expect(h.schedule()).toEqual([{ job: 1, task: 1, node: 'n1' }]);
  expect((await h.getTask('j', 'a')).state).toBe('active');
  h.start('n1', 1);
  expect((await h.getTask('j', 'a')).state).toBe('running');
  h.end('n1', 1);
  console.log(await h.getTask('j', 'a'), await h.getJob('j'), await h.getNode('n1'));
  h.restart();
  console.log(await h.getTask('j', 'a'), await h.getJob('j'), await h.getNode('n1'));
});
