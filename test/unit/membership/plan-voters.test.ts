import { expect, test } from 'vitest';
import { Census } from '../../../coordinator/membership/census.ts';
import { chooseVoters } from '../../../coordinator/membership/choose-voters.ts';
import { planVoters } from '../../../coordinator/membership/plan-voters.ts';
import type { GroupId } from '../../../src/model/ids.ts';
import { fc } from '../../support/properties.ts';
import { DEAD_MS, Estate, founded, STABLE_MS } from './estate.ts';

const MESH: GroupId = 'mesh';
const POOL: GroupId = 'pool:p';

test('with two machines one votes and the other is a learner, in the mesh group and in a pool', () => {
  for (const group of [MESH, POOL]) {
    const estate = founded(group, ['a', 'b']);
    expect([estate.voters, estate.learners]).toEqual([['a'], ['b']]);
  }
});

test('the third machine makes three voters, the two promoted one right after the other', () => {
  for (const group of [MESH, POOL]) {
    const estate = founded(group, ['a', 'b', 'c']);
    expect([...estate.voters].sort()).toEqual(['a', 'b', 'c']);
    const kinds = estate.steps.map((step) => step.kind);
    expect(kinds.slice(-2)).toEqual(['promote', 'promote']);
  }
});

test('a machine votes only once it was up for a while and has the whole log', () => {
  const estate = new Estate(MESH, 'a');
  estate.join('b');
  estate.join('c');
  const joinedMs = estate.nowMs;
  while (estate.voters.length === 1) estate.round();
  expect(estate.nowMs - joinedMs).toBeGreaterThanOrEqual(STABLE_MS);
});

test('an even number of voters is left at once, by whoever has the whole log', () => {
  const machine = (id: string, forMs: number) => ({ id, alive: true, forMs, draining: false, votes: 0 });
  const step = planVoters({
    group: MESH,
    self: 'a',
    voters: ['a', 'b'],
    learners: ['c'],
    machines: new Census([machine('a', DEAD_MS), machine('b', DEAD_MS), machine('c', 1)]),
    caughtUp: () => true,
  });
  expect(step).toMatchObject({ kind: 'promote', id: 'c' });
});

test('the mesh group has five voters from seven machines on, a pool three; the rest follow the mesh group', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  expect(founded(MESH, names.slice(0, 6)).voters).toHaveLength(3);
  const mesh = founded(MESH, names);
  expect(mesh.voters).toHaveLength(5);
  expect(mesh.learners).toHaveLength(3);
  const pool = founded(POOL, names);
  expect([pool.voters.length, pool.learners.length]).toEqual([3, 0]);
});

test('however many machines come at once, they follow the mesh group by one change of it', () => {
  const estate = founded(MESH, ['a']);
  const before = estate.steps.length;
  for (let number = 0; number < 200; number += 1) estate.join(`m${number}`);
  estate.settle();
  const [first, ...others] = estate.steps.slice(before);
  expect(first).toMatchObject({ kind: 'addLearners', ids: { length: 200 } });
  expect(others.filter(({ kind }) => kind !== 'promote')).toEqual([]);
});

test('a dead voter is replaced: the learner catches up, the dead one goes, the learner votes', () => {
  const estate = founded(POOL, ['a', 'b', 'c', 'd']);
  estate.leader = 'a';
  const [, dead = ''] = estate.voters;
  const before = estate.steps.length;
  estate.setAlive(dead, false);
  const diedMs = estate.nowMs;
  while (estate.steps.length === before) estate.round();
  expect(estate.nowMs - diedMs).toBeGreaterThanOrEqual(DEAD_MS);
  estate.settle();
  expect(estate.voters).not.toContain(dead);
  expect(estate.voters).toHaveLength(3);
  expect(estate.steps.slice(before).map((step) => step.kind)).toEqual(['addLearner', 'remove', 'promote']);
});

test('a voter that is away for less than a reboot keeps its vote', () => {
  const estate = founded(MESH, ['a', 'b', 'c', 'd']);
  const before = estate.steps.length;
  estate.setAlive('b', false);
  for (let passed = 0; passed < DEAD_MS - 2_000; passed += 1_000) estate.round();
  estate.setAlive('b', true);
  estate.settle();
  expect(estate.steps).toHaveLength(before);
});

test('a dead voter that nobody can replace stays: two of three are better than one of one', () => {
  const estate = founded(MESH, ['a', 'b', 'c']);
  estate.setAlive('c', false);
  estate.settle();
  expect(estate.voters).toHaveLength(3);
});

test('of five voters two are dead for good and nobody else is there: the three that live go on', () => {
  const estate = founded(MESH, ['a', 'b', 'c', 'd', 'e', 'f', 'g']);
  for (const id of [...estate.hosts.keys()]) if (!estate.voters.includes(id)) estate.hosts.delete(id);
  estate.settle();
  const dead = estate.voters.filter((id) => id !== estate.leader).slice(0, 2);
  for (const id of dead) estate.setAlive(id, false);
  estate.settle();
  expect(estate.voters).toHaveLength(3);
  expect(estate.aliveVoters).toBe(3);
});

test('without a quorum nothing is touched', () => {
  const estate = founded(MESH, ['a', 'b', 'c', 'd']);
  for (const id of estate.voters.slice(0, 2)) estate.setAlive(id, false);
  estate.nowMs += 10 * DEAD_MS;
  expect(estate.plan()).toBeUndefined();
});

test('a removed machine loses its vote at once; from three machines two are left and one of them votes', () => {
  const estate = founded(MESH, ['a', 'b', 'c']);
  estate.hosts.delete('c');
  estate.settle();
  expect(estate.voters).toHaveLength(1);
  expect(estate.learners).toHaveLength(1);
});

test('a removed voter is replaced by a draining machine where there is no other', () => {
  const estate = founded(POOL, ['a', 'b', 'c', 'd']);
  const [spare = ''] = [...estate.hosts.keys()].filter((id) => !estate.voters.includes(id));
  estate.drain(spare, true);
  estate.hosts.delete(estate.voters.find((id) => id !== estate.leader) ?? '');
  estate.settle();
  expect(estate.voters).toHaveLength(3);
  expect(estate.voters).toContain(spare);
});

test('a draining machine hands its vote over before it goes, even where it votes alone and leads', () => {
  const alone = founded(MESH, ['a', 'b']);
  alone.drain('a', true);
  alone.settle();
  expect([alone.voters, alone.leader, alone.learners]).toEqual([['b'], 'b', ['a']]);

  const four = founded(POOL, ['a', 'b', 'c', 'd']);
  four.drain(four.leader, true);
  const drained = four.leader;
  four.settle();
  expect(four.voters).toHaveLength(3);
  expect(four.voters).not.toContain(drained);
});

test('a draining voter that nobody can replace keeps its vote but does not lead', () => {
  const estate = founded(MESH, ['a', 'b', 'c']);
  estate.drain('a', true);
  estate.settle();
  expect(estate.voters).toContain('a');
  expect(estate.leader).not.toBe('a');
});

test('a pool keeps no learner that it does not need', () => {
  const estate = founded(POOL, ['a', 'b', 'c', 'd', 'e']);
  estate.learners.push(...[...estate.hosts.keys()].filter((id) => !estate.voters.includes(id)));
  estate.settle();
  expect(estate.learners).toEqual([]);
});

const candidate = (id: string, over = {}) => ({
  id,
  alive: true,
  forMs: STABLE_MS,
  draining: false,
  votes: 0,
  ...over,
});

test('a new group has three voters, or one: those that are up and vote least', () => {
  expect(chooseVoters([])).toEqual([]);
  expect(chooseVoters([candidate('a', { votes: 2 }), candidate('b')])).toEqual(['b']);
  const many = [
    candidate('a', { votes: 3 }),
    candidate('b', { alive: false }),
    candidate('c', { draining: true }),
    candidate('d', { votes: 1 }),
    candidate('e', { forMs: 0 }),
    candidate('f'),
  ];
  expect(chooseVoters(many)).toEqual(['f', 'd', 'a']);
  expect(chooseVoters(many.slice(0, 5))).toEqual(['d', 'a', 'c']);
  expect(chooseVoters([candidate('a'), candidate('b', { forMs: 0 }), candidate('c', { forMs: 0 })])).toEqual([
    'a',
    'b',
    'c',
  ]);
});

test('a new group rests on no machine alone while two of three are up', () => {
  const down = [candidate('c', { alive: false, draining: true }), candidate('d', { alive: false })];
  expect(chooseVoters([candidate('a'), candidate('b', { forMs: 0 }), ...down])).toEqual(['a', 'b', 'd']);
  expect(chooseVoters([candidate('a'), ...down])).toEqual(['a']);
  expect(chooseVoters([candidate('a'), candidate('b'), ...down.slice(0, 1)])).toEqual(['a']);
});

test('new groups spread their votes evenly over the machines', () => {
  const votes = new Map(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id) => [id, 0]));
  for (let group = 0; group < 70; group += 1) {
    const machines = [...votes].map(([id, count]) => ({
      id,
      alive: true,
      forMs: STABLE_MS,
      draining: false,
      votes: count,
    }));
    for (const voter of chooseVoters(machines)) votes.set(voter, (votes.get(voter) ?? 0) + 1);
  }
  expect(new Set(votes.values())).toEqual(new Set([30]));
});

type Happening = {
  readonly what: 'join' | 'die' | 'return' | 'remove' | 'drain' | 'undrain' | 'wait';
  readonly who: number;
};

const happening: fc.Arbitrary<Happening> = fc.record({
  what: fc.constantFrom('join', 'join', 'die', 'return', 'remove', 'drain', 'undrain', 'wait', 'wait'),
  who: fc.nat({ max: 20 }),
});

test('whatever comes and goes: no step breaks a quorum, and at rest the voters are odd in number', () => {
  fc.assert(
    fc.property(fc.constantFrom(MESH, POOL), fc.array(happening, { maxLength: 30 }), (group, happenings) => {
      const estate = new Estate(group, 'm0');
      let next = 1;
      for (const { what, who } of happenings) {
        const ids = [...estate.hosts.keys()];
        const id = ids[who % ids.length] ?? '';
        if (what === 'join') estate.join(`m${next++}`);
        else if (what === 'die') estate.setAlive(id, false);
        else if (what === 'return') estate.setAlive(id, true);
        else if (what === 'remove' && mayGo(estate, id)) estate.hosts.delete(id);
        else if (what === 'drain') estate.drain(id, true);
        else if (what === 'undrain') estate.drain(id, false);
        for (let rounds = 0; rounds < (what === 'wait' ? 40 : who % 4); rounds += 1) estate.round();
      }
      if (!estate.hasQuorum()) {
        expect(estate.plan()).toBeUndefined();
        for (const id of estate.hosts.keys()) estate.setAlive(id, true);
      }
      if (!estate.hasQuorum()) return;
      estate.settle();
      checkAtRest(estate);
      // Everybody comes back: the number of voters is the wanted one.
      for (const id of estate.hosts.keys()) {
        estate.setAlive(id, true);
        estate.drain(id, false);
      }
      estate.settle();
      checkAtRest(estate);
      expect(estate.aliveVoters).toBe(estate.voters.length);
      if (estate.hosts.size >= 3) expect(estate.voters.length).toBeGreaterThanOrEqual(3);
      if (group === MESH && estate.hosts.size >= 7) expect(estate.voters).toHaveLength(5);
      if (group === MESH) expect(estate.voters.length + estate.learners.length).toBe(estate.hosts.size);
    }),
    { numRuns: 300 },
  );
});

function checkAtRest(estate: Estate): void {
  expect([1, 3, 5]).toContain(estate.voters.length);
  expect(estate.hasQuorum()).toBe(true);
  for (const voter of estate.voters) expect(estate.hosts.has(voter)).toBe(true);
  for (const learner of estate.learners) expect(estate.voters).not.toContain(learner);
  if (estate.group !== MESH) expect(estate.voters.length).toBeLessThanOrEqual(3);
}

/** The gate of machine.remove: a group keeps a majority of its voters among the members. */
function mayGo(estate: Estate, id: string): boolean {
  if (estate.hosts.size === 1) return false;
  if (!estate.voters.includes(id)) return true;
  const left = estate.voters.filter((voter) => voter !== id && estate.isAlive(voter)).length;
  return left >= Math.floor(estate.voters.length / 2) + 1;
}
