/** Who may bring which command: the table of rights by itself. `proposals.test.ts` has the leader that goes by it. */
import { describe, expect, test } from 'vitest';
import { type Directory, requireRight } from '../../../coordinator/driver/authority.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import type { GroupId } from '../../../src/model/ids.ts';

/** Ada, Bob and Eve vote for the pool `p`, Joe will; Ada alone for the mesh. Mia is a member like any other. */
const directory: Directory = {
  group: (group: GroupId) =>
    ({
      mesh: { voters: ['ada/1'], generation: 2 },
      'pool:p': { voters: ['ada/1', 'bob/1', 'eve/1'], next: ['bob/1', 'eve/1', 'joe/1'], generation: 1 },
      'pool:q': { voters: ['mia/1'], generation: 0 },
    })[group as string],
  allotment: (node) => ({ n1: { pool: 'P' }, n2: { pool: 'p' }, n3: { pool: 'q' } })[node],
};

function verdict(
  from: string,
  command: { readonly kind: string; readonly [property: string]: unknown },
  isCurrent = true,
): string {
  try {
    requireRight(from, command, directory, isCurrent);
    return 'taken';
  } catch (error) {
    return error instanceof ShoalError ? error.code : String(error);
  }
}

const erase = { kind: 'pool.erase', pool: 'p' };
const scaled = { kind: 'pool.autoScaled', pool: 'P', version: 'v', run: 1, results: '' };
const released = { kind: 'node.released', nodes: ['n1', 'n2'] };
const voters = { kind: 'group.voters', group: 'pool:p', voters: ['bob/1', 'eve/1', 'joe/1'], generation: 1 };

describe.each([
  ['that a deleted pool is empty', erase],
  ['how a pool scales', scaled],
  ['that nodes are empty', released],
  ["who votes in a pool's group", voters],
])('%s', (_, command) => {
  test.each(['ada', 'bob', 'joe'])('is said by %s, who votes there now or next', (from) => {
    expect(verdict(from, command)).toBe('taken');
  });

  test('is said by no other member', () => {
    expect(verdict('mia', command)).toBe('Forbidden');
  });

  test('is not refused for good by a leader that may not know the latest voters', () => {
    expect(verdict('mia', command, false)).toBe('ServerBusy');
    expect(verdict('ada', command, false)).toBe('taken');
  });
});

test('nodes of another pool are not let go beside those of the own one', () => {
  expect(verdict('ada', { ...released, nodes: ['n1', 'n3'] })).toBe('Forbidden');
  expect(verdict('mia', { ...released, nodes: ['n3'] })).toBe('taken');
});

test('a node that nobody knows (any more) is let go by whoever says so: there is nothing to harm', () => {
  expect(verdict('mia', { ...released, nodes: ['gone'] })).toBe('taken');
});

describe('the voters of a group', () => {
  test('that was recovered by hand are told by one of them, though the last voters were others', () => {
    const recovered = { ...voters, voters: ['mia/1'], generation: 2 };
    expect(verdict('mia', recovered)).toBe('taken');
    expect(verdict('joe', recovered)).toBe('Forbidden');
    expect(verdict('mia', { ...recovered, generation: 0 })).toBe('Forbidden');
  });

  test('that the directory does not know are told by one of them', () => {
    const unknown = { ...voters, group: 'pool:lost', voters: ['joe/1', 'mia/1'] };
    expect(verdict('mia', unknown)).toBe('taken');
    expect(verdict('ada', unknown)).toBe('Forbidden');
  });

  test('of the mesh group are told by these alone', () => {
    const own = { ...voters, group: 'mesh', voters: ['ada/1'], generation: 2 };
    expect(verdict('ada', own)).toBe('taken');
    expect(verdict('bob', own)).toBe('Forbidden');
  });
});

describe('holders of contents', () => {
  const holders = (add: readonly string[], remove: readonly string[]) => ({
    kind: 'blob.holders',
    changes: [
      { manifest: 'a', add: [], remove: [] },
      { manifest: 'b', add, remove },
    ],
  });

  test('are told by a machine of its own copies only', () => {
    expect(verdict('mia', holders([], ['mia/1']))).toBe('taken');
    expect(verdict('mia', holders(['mia/1'], []))).toBe('taken');
    expect(verdict('mia', holders([], ['mia/1', 'bob/1']))).toBe('Forbidden');
    expect(verdict('mia', holders(['bob/1'], []))).toBe('Forbidden');
  });

  test('are told of all machines by who votes in the mesh group, for its leader has copies made', () => {
    expect(verdict('ada', holders(['mia/1'], ['bob/1']))).toBe('taken');
  });
});

describe('a machine', () => {
  test('changes its own record only', () => {
    const update = { kind: 'machine.update', machine: { peer: 'mia' } };
    expect(verdict('mia', update)).toBe('taken');
    expect(verdict('ada', update)).toBe('Forbidden');
  });

  test('brings what clients ask of it, whoever it is', () => {
    expect(verdict('mia', { kind: 'pool.delete', pool: 'p' })).toBe('taken');
    expect(verdict('mia', { kind: 'machine.join', tokenPeer: 't' })).toBe('taken');
  });
});

test.each([
  { kind: 'assign' },
  { kind: 'toString' },
  { kind: '__proto__' },
  { kind: 'node.released' },
  { kind: 'node.released', nodes: 7 },
  { kind: 'machine.update' },
  { kind: 'group.voters', group: 'pool:p' },
  { kind: 'blob.holders', changes: [{}] },
  { kind: 'pool.erase' },
])('what nobody may bring, or has not the shape of its kind, is refused: %o', (command) => {
  expect(verdict('mia', command)).toBe('Forbidden');
});
