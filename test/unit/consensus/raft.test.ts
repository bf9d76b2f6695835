import { describe, expect, test } from 'vitest';
import { encodeConfiguration } from '../../../coordinator/consensus/configuration.ts';
import type {
  Configuration,
  Entry,
  Message,
  RaftNode,
  RaftOptions,
  RaftState,
} from '../../../coordinator/consensus/interface.ts';
import { createRaft } from '../../../coordinator/consensus/raft.ts';
import { LEARNER_APPENDS_PER_TICK } from '../../../src/lib/limits.ts';
import { Prng } from '../../../src/lib/prng.ts';
import { fc } from '../../support/properties.ts';

const GROUP: Configuration = { voters: ['a', 'b', 'c'], learners: ['d'] };

function entry(index: number, term: number): Entry {
  return { index, term, kind: 'command', data: Uint8Array.of(index) };
}

function entries(...terms: readonly number[]): readonly Entry[] {
  return terms.map((term, position) => entry(position + 1, term));
}

function replica(state: Partial<RaftState> = {}, options: Partial<RaftOptions> = {}): RaftNode {
  return createRaft(
    {
      id: 'a',
      heartbeatTicks: 2,
      electionTicks: 10,
      quietTicks: 10,
      random: (low) => low,
      appendBytesMax: 1_000,
      inflightMax: 3,
      proposalsMax: 100,
      entryBytesMax: 1_000,
      ...options,
    },
    {
      hardState: { term: 1, votedFor: null, commit: 0 },
      snapshot: { index: 0, term: 0, configuration: GROUP },
      entries: [],
      applied: 0,
      ...state,
    },
  );
}

/** Carries out all that is ready and gives the messages that left. */
function turn(raft: RaftNode): readonly Message[] {
  const left: Message[] = [];
  while (raft.hasReady()) {
    const ready = raft.ready();
    left.push(...ready.messages, ...ready.messagesAfterPersist);
    raft.advance(ready);
  }
  return left;
}

/** Elects `a` by the votes of `b` and drops what it says. */
function elect(raft: RaftNode): number {
  while (raft.status().role === 'follower') raft.tick();
  turn(raft);
  raft.step({ kind: 'preVoteResponse', from: 'b', to: 'a', term: raft.status().term, granted: true });
  turn(raft);
  raft.step({ kind: 'voteResponse', from: 'b', to: 'a', term: raft.status().term, granted: true });
  turn(raft);
  expect(raft.status().role).toBe('leader');
  return raft.status().term;
}

function accept(raft: RaftNode, from: string, index: number, term = raft.status().term): void {
  raft.step({
    kind: 'appendResponse',
    from,
    to: 'a',
    term,
    index,
    rejected: false,
    hintIndex: 0,
    hintTerm: 0,
  });
}

const fromB = { from: 'b', to: 'a' } as const;

describe('a follower', () => {
  const behind = { hardState: { term: 2, votedFor: null, commit: 0 }, entries: entries(1, 1, 2, 2) };

  test('commits and acknowledges only what the message vouches for, not what else it holds', () => {
    const raft = replica(behind);
    raft.step({
      kind: 'append',
      ...fromB,
      term: 3,
      previousIndex: 1,
      previousTerm: 1,
      entries: [entry(2, 1)],
      commit: 9,
    });
    expect(raft.status()).toMatchObject({ commit: 2, lastIndex: 4 });
    expect(turn(raft)).toMatchObject([{ kind: 'appendResponse', index: 2, rejected: false }]);
  });

  test('commits nothing by a heartbeat beyond its log', () => {
    const raft = replica(behind);
    raft.step({ kind: 'heartbeat', ...fromB, term: 3, commit: 5, readContext: 0, quiet: false });
    expect(raft.status().commit).toBe(0);
    raft.step({ kind: 'heartbeat', ...fromB, term: 3, commit: 2, readContext: 0, quiet: false });
    expect(raft.status().commit).toBe(2);
  });

  test('points a leader at the last place where both logs can agree', () => {
    const raft = replica({
      hardState: { term: 5, votedFor: null, commit: 1 },
      entries: entries(1, 1, 2, 2, 5),
    });
    raft.step({
      kind: 'append',
      ...fromB,
      term: 6,
      previousIndex: 9,
      previousTerm: 4,
      entries: [],
      commit: 0,
    });
    expect(turn(raft)).toMatchObject([{ rejected: true, index: 9, hintIndex: 4, hintTerm: 2 }]);
  });

  test('keeps a log that already holds the last entry of a snapshot', () => {
    const raft = replica(behind);
    raft.step({ kind: 'snapshot', ...fromB, term: 3, meta: { index: 3, term: 2, configuration: GROUP } });
    expect(raft.status()).toMatchObject({ commit: 3, lastIndex: 4, firstIndex: 1 });
    const ready = raft.ready();
    expect(ready.snapshot).toBeUndefined();
    expect(ready.messagesAfterPersist).toMatchObject([{ kind: 'appendResponse', index: 3 }]);
  });

  test('takes rows and log from a snapshot, then what follows it, in one Ready', () => {
    const raft = replica(behind);
    const meta = { index: 7, term: 3, configuration: { voters: ['a', 'b'], learners: [] } };
    raft.step({ kind: 'snapshot', ...fromB, term: 3, meta });
    raft.step({
      kind: 'append',
      ...fromB,
      term: 3,
      previousIndex: 7,
      previousTerm: 3,
      entries: [entry(8, 3)],
      commit: 8,
    });
    const ready = raft.ready();
    expect(ready).toMatchObject({ snapshot: meta, entries: [{ index: 8 }], committed: [], mustSync: true });
    expect(ready.truncateFrom).toBeUndefined();
    raft.advance(ready);
    expect(raft.status()).toMatchObject({ applied: 7, commit: 8, configuration: meta.configuration });
    expect(raft.ready().committed).toMatchObject([{ index: 8 }]);
  });

  test('obeys one leader a term', () => {
    const raft = replica(behind);
    raft.step({ kind: 'heartbeat', ...fromB, term: 3, commit: 0, readContext: 0, quiet: false });
    turn(raft);
    raft.step({ kind: 'heartbeat', from: 'c', to: 'a', term: 3, commit: 4, readContext: 0, quiet: false });
    expect(raft.status()).toMatchObject({ leader: 'b', commit: 0 });
    expect(turn(raft)).toEqual([]);
  });

  test('forgets a leader whose connection dropped and asks within three ticks', () => {
    const raft = replica(behind, { random: (_, high) => high });
    raft.step({ kind: 'heartbeat', ...fromB, term: 3, commit: 0, readContext: 0, quiet: false });
    turn(raft);
    raft.reportUnreachable('c');
    expect(raft.status().leader).toBe('b');
    raft.reportUnreachable('b');
    expect(raft.status().leader).toBeNull();
    for (let tick = 0; tick < 3; tick++) raft.tick();
    expect(turn(raft)).toMatchObject([{ kind: 'preVoteRequest', term: 3 }, { kind: 'preVoteRequest' }]);
  });

  test('of equal logs and equal haste lets the lesser id go first, but not for long', () => {
    const raft = replica(behind);
    for (let tick = 0; tick < 10; tick++) raft.tick();
    turn(raft);
    const rival = { kind: 'preVoteRequest', ...fromB, term: 2, lastTerm: 2, transfer: false } as const;
    raft.step({ ...rival, lastIndex: 4 });
    raft.step({ ...rival, lastIndex: 5 });
    for (let tick = 0; tick < 3; tick++) raft.tick();
    raft.step({ ...rival, lastIndex: 4 });
    expect(turn(raft)).toMatchObject([{ granted: false }, { granted: true }, { granted: true }]);
  });

  test('votes once a term, and for no log behind its own', () => {
    const raft = replica(behind);
    const ask = (from: string, term: number, lastIndex: number, lastTerm: number): boolean | undefined => {
      raft.step({ kind: 'voteRequest', from, to: 'a', term, lastIndex, lastTerm, transfer: false });
      const [answer] = turn(raft);
      return answer?.kind === 'voteResponse' && answer.term === raft.status().term
        ? answer.granted
        : undefined;
    };
    expect(ask('b', 3, 99, 1)).toBe(false);
    expect(ask('b', 3, 3, 2)).toBe(false);
    expect(ask('c', 3, 1, 3)).toBe(true);
    expect(ask('b', 3, 9, 3)).toBe(false);
    expect(ask('c', 3, 1, 3)).toBe(true);
    expect(ask('b', 2, 9, 2)).toBe(false);
    expect(ask('b', 4, 4, 2)).toBe(true);
  });

  test('is not lifted to a term that leaves room for no other', () => {
    const raft = replica(behind);
    const vote = { kind: 'voteRequest', ...fromB, lastIndex: 9, lastTerm: 2, transfer: false } as const;
    for (const term of [2 ** 53, 2 ** 53 - 1, 2 ** 53 - 2, 2 ** 40]) raft.step({ ...vote, term });
    expect(raft.status().term).toBe(2);
    expect(turn(raft)).toEqual([]);
    raft.step({ ...vote, term: 2 ** 31 });
    expect(raft.status().term).toBe(2 ** 31);
  });

  test('answers a leader of a term that is over with its own term', () => {
    const raft = replica(behind);
    raft.step({
      kind: 'append',
      ...fromB,
      term: 1,
      previousIndex: 0,
      previousTerm: 0,
      entries: [],
      commit: 4,
    });
    expect(turn(raft)).toEqual([{ kind: 'heartbeatResponse', from: 'a', to: 'b', term: 2, readContext: 0 }]);
    expect(raft.status().commit).toBe(0);
  });
});

describe('a candidate', () => {
  test('takes no vote of an earlier term', () => {
    const raft = replica();
    for (let tick = 0; tick < 10; tick++) raft.tick();
    raft.step({ kind: 'preVoteResponse', ...fromB, term: 1, granted: true });
    turn(raft);
    raft.step({ kind: 'voteResponse', ...fromB, term: 1, granted: true });
    raft.step({ kind: 'voteResponse', from: 'd', to: 'a', term: 2, granted: true });
    expect(raft.status()).toMatchObject({ role: 'candidate', term: 2 });
    raft.step({ kind: 'voteResponse', ...fromB, term: 2, granted: true });
    expect(raft.status().role).toBe('leader');
  });

  test('does not lead before its term is durable, whatever answers come', () => {
    const raft = replica({}, { id: 'a' });
    for (let tick = 0; tick < 10; tick++) raft.tick();
    raft.step({ kind: 'preVoteResponse', ...fromB, term: 1, granted: true });
    const ready = raft.ready();
    raft.step({ kind: 'voteResponse', ...fromB, term: 2, granted: true });
    raft.step({ kind: 'voteResponse', from: 'c', to: 'a', term: 2, granted: true });
    expect(raft.status().role).toBe('candidate');
    raft.advance(ready);
    expect(raft.status().role).toBe('leader');
  });
});

describe('a leader', () => {
  test('takes no answer from an earlier term of its own', () => {
    const raft = replica();
    const term = elect(raft);
    raft.propose(new Uint8Array(1));
    accept(raft, 'b', 2, term - 1);
    accept(raft, 'c', 2, term - 1);
    expect(raft.status().commit).toBe(0);
    accept(raft, 'c', 2);
    turn(raft);
    expect(raft.status().commit).toBe(2);
  });

  test('does not believe in entries it never had', () => {
    const raft = replica();
    elect(raft);
    accept(raft, 'b', 77);
    expect(raft.status().commit).toBe(0);
    expect(raft.status().progress().get('b')?.match).toBe(0);
  });

  test('asks a follower that refuses what it had acknowledged again with the next heartbeat, not at once', () => {
    const raft = replica();
    const term = elect(raft);
    accept(raft, 'b', 1);
    raft.reportUnreachable('b');
    raft.propose(new Uint8Array(1));
    const toB = (): readonly Message[] => turn(raft).filter((message) => message.to === 'b');
    expect(toB()).toMatchObject([{ kind: 'append', previousIndex: 1, entries: [{ index: 2 }] }]);
    raft.step({
      kind: 'appendResponse',
      ...fromB,
      term,
      index: 1,
      rejected: true,
      hintIndex: 0,
      hintTerm: 0,
    });
    expect(toB()).toEqual([]);
    raft.step({ kind: 'heartbeatResponse', ...fromB, term, readContext: 0 });
    expect(toB()).toMatchObject([{ kind: 'append', previousIndex: 1 }]);
  });

  test('does not answer who only tells it the commit index, unless it lacks what lies before', () => {
    const raft = replica({ hardState: { term: 1, votedFor: null, commit: 0 }, entries: entries(1, 1) });
    const told = { kind: 'append', ...fromB, term: 1, previousTerm: 1, entries: [], commit: 2 } as const;
    raft.step({ ...told, previousIndex: 2, notice: true });
    expect(turn(raft)).toEqual([]);
    expect(raft.status().commit).toBe(2);
    raft.step({ ...told, previousIndex: 3, notice: true });
    expect(turn(raft)).toMatchObject([{ kind: 'appendResponse', rejected: true, index: 3 }]);
  });

  test('has at most its window of appends in flight to one follower', () => {
    const raft = replica({}, { appendBytesMax: 64, inflightMax: 3 });
    elect(raft);
    accept(raft, 'b', 1);
    turn(raft);
    for (let count = 0; count < 10; count++) raft.propose(new Uint8Array(1));
    const toB = (): readonly Message[] => turn(raft).filter((message) => message.to === 'b');
    expect(toB()).toMatchObject([
      { previousIndex: 1, entries: [{ index: 2 }] },
      { previousIndex: 2, entries: [{ index: 3 }] },
      { previousIndex: 3, entries: [{ index: 4 }] },
    ]);
    expect(toB()).toEqual([]);
    accept(raft, 'b', 3);
    expect(toB()).toMatchObject([{ entries: [{ index: 5 }] }, { entries: [{ index: 6 }] }]);
  });

  test('sends what a turn gathered as one message for each follower', () => {
    const raft = replica();
    elect(raft);
    for (const peer of ['b', 'c', 'd']) accept(raft, peer, 1);
    turn(raft);
    for (let count = 0; count < 5; count++) raft.propose(new Uint8Array(1));
    const appends = turn(raft).filter((message) => message.kind === 'append');
    expect(appends.map(({ to, entries }) => [to, entries.length])).toEqual([
      ['b', 5],
      ['c', 5],
    ]);
  });

  test('gives a learner what is committed, with the word that it is, as one message', () => {
    const raft = replica();
    elect(raft);
    for (const peer of ['b', 'c', 'd']) accept(raft, peer, 1);
    turn(raft);
    for (let count = 0; count < 5; count++) raft.propose(new Uint8Array(1));
    turn(raft);
    accept(raft, 'b', 6);
    const toLearner = turn(raft).filter(({ to }) => to === 'd');
    expect(toLearner).toMatchObject([{ kind: 'append', commit: 6, entries: { length: 5 } }]);
  });

  test('sends its learners no more than so many appends a tick, and each of them all there is in the end', () => {
    const learners = Array.from({ length: 2 * LEARNER_APPENDS_PER_TICK }, (_, number) => `l${number}`);
    const raft = replica({
      snapshot: { index: 0, term: 0, configuration: { voters: ['a', 'b'], learners } },
    });
    elect(raft);
    accept(raft, 'b', 1);
    turn(raft);
    for (const learner of learners) accept(raft, learner, 1);
    const commits = new Map<string, number>();
    const appends = (): number => {
      let count = 0;
      for (const message of turn(raft)) {
        if (message.kind !== 'append' || message.to === 'b') continue;
        commits.set(message.to, message.commit);
        count += 1;
      }
      return count;
    };
    const tick = (): number => {
      raft.tick();
      return appends();
    };
    while (tick() > 0);
    let sent = 0;
    for (let index = 2; index <= 51; index++) {
      raft.propose(new Uint8Array(1));
      sent += appends();
      accept(raft, 'b', index);
      sent += appends();
    }
    expect(sent).toBe(LEARNER_APPENDS_PER_TICK);
    for (let more = tick(); more > 0; more = tick())
      expect(more).toBeLessThanOrEqual(LEARNER_APPENDS_PER_TICK);
    expect(learners.every((learner) => commits.get(learner) === 51)).toBe(true);
  });

  test('asks voters alone before it answers a read', () => {
    const raft = replica();
    elect(raft);
    for (const peer of ['b', 'c', 'd']) accept(raft, peer, 1);
    turn(raft);
    raft.readIndex(1);
    const asked = turn(raft).filter(({ kind }) => kind === 'heartbeat');
    expect(asked.map(({ to }) => to)).toEqual(['b', 'c']);
  });

  test('goes back to where a follower points, not one by one', () => {
    const terms = Array.from({ length: 50 }, (_, position) => (position < 20 ? 1 : 3));
    const raft = replica({ hardState: { term: 3, votedFor: null, commit: 20 }, entries: entries(...terms) });
    elect(raft);
    raft.step({
      kind: 'appendResponse',
      ...fromB,
      term: 4,
      index: 50,
      rejected: true,
      hintIndex: 45,
      hintTerm: 2,
    });
    expect(turn(raft)).toMatchObject([{ kind: 'append', to: 'b', previousIndex: 20, previousTerm: 1 }]);
  });

  test('sends a snapshot where its log no longer reaches, with the configuration of that index', () => {
    const state = {
      hardState: { term: 1, votedFor: null, commit: 4 },
      entries: entries(1, 1, 1, 1),
      applied: 3,
    };
    const raft = replica(state);
    expect(raft.compact(2)).toEqual({ index: 2, term: 1, configuration: GROUP });
    expect(() => raft.compact(4)).toThrow('applied');
    elect(raft);
    raft.step({
      kind: 'appendResponse',
      ...fromB,
      term: 2,
      index: 4,
      rejected: true,
      hintIndex: 1,
      hintTerm: 1,
    });
    expect(turn(raft)).toMatchObject([{ kind: 'snapshot', to: 'b', meta: { index: 4, term: 1 } }]);
    expect(raft.status().progress().get('b')?.state).toBe('snapshot');
    raft.propose(new Uint8Array(1));
    expect(turn(raft).filter((message) => message.to === 'b')).toEqual([]);
    accept(raft, 'b', 4);
    expect(turn(raft)).toMatchObject([
      { kind: 'append', to: 'b', previousIndex: 4, entries: [{ index: 5 }, { index: 6 }] },
    ]);
  });

  test('hands out what is committed in bounded portions', () => {
    const many = Array.from({ length: 100 }, () => 1);
    const raft = replica(
      { hardState: { term: 1, votedFor: null, commit: 100 }, entries: entries(...many) },
      { appendBytesMax: 330 },
    );
    const ready = raft.ready();
    expect(ready.committed.length).toBe(10);
    raft.advance(ready);
    expect(raft.ready().committed[0]?.index).toBe(11);
  });
});

describe('the driver', () => {
  test('gets no second Ready before it carried out the first', () => {
    const raft = replica({}, { id: 'a' });
    for (let tick = 0; tick < 10; tick++) raft.tick();
    const ready = raft.ready();
    raft.step({ kind: 'heartbeat', ...fromB, term: 4, commit: 0, readContext: 0, quiet: false });
    expect(raft.hasReady()).toBe(false);
    expect(() => raft.ready()).toThrow('carried out');
    expect(() => raft.advance({ ...ready })).toThrow('taken last');
    raft.advance(ready);
    expect(raft.ready()).toMatchObject({ hardState: { term: 4 }, mustSync: true });
  });

  test('need not sync what is only a commit index', () => {
    const raft = replica({ hardState: { term: 3, votedFor: 'b', commit: 0 }, entries: entries(1, 2) });
    raft.step({ kind: 'heartbeat', ...fromB, term: 3, commit: 2, readContext: 0, quiet: false });
    expect(raft.ready()).toMatchObject({ hardState: { term: 3, votedFor: 'b', commit: 2 }, mustSync: false });
  });

  test('of a group of one may take longer over the first vote than an election timeout of one tick', () => {
    const raft = replica({ snapshot: { index: 0, term: 0, configuration: { voters: ['a'], learners: [] } } });
    raft.tick();
    const vote = raft.ready();
    for (let tick = 0; tick < 9; tick++) raft.tick();
    raft.advance(vote);
    expect(raft.status()).toMatchObject({ role: 'leader', term: 2 });
  });

  test('has nothing to do for a group of one but to write and apply', () => {
    const alone = { index: 0, term: 0, configuration: { voters: ['a'], learners: [] } };
    const raft = replica({ snapshot: alone });
    raft.tick();
    expect(turn(raft)).toEqual([]);
    expect(raft.status()).toMatchObject({ role: 'leader', term: 2, commit: 1, applied: 1 });
    expect(raft.propose(Uint8Array.of(1))).toEqual({ ok: true, index: 2, term: 2 });
    const written = raft.ready();
    expect(written.committed).toEqual([]);
    raft.advance(written);
    expect(raft.ready().committed).toMatchObject([{ index: 2 }]);
  });
});

// --- Whatever arrives -----------------------------------------------------------------------------------------------

const someId = fc.constantFrom('a', 'b', 'c', 'd', 'z', '');
const number = fc.oneof(
  { weight: 8, arbitrary: fc.nat(12) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53 - 1, 2 ** 53, 1e300),
  },
);
const someEntry = fc.record({
  index: number,
  term: number,
  kind: fc.constantFrom('noop', 'command', 'configuration'),
  data: fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc.constant(encodeConfiguration({ voters: ['a', 'b'], learners: [] })),
  ),
});
const someConfiguration = fc.constantFrom(
  GROUP,
  { voters: [], learners: [] },
  { voters: ['b', 'b'], learners: [] },
);
const someBody = fc.oneof(
  fc.record({
    kind: fc.constantFrom('voteRequest', 'preVoteRequest'),
    lastIndex: number,
    lastTerm: number,
    transfer: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('voteResponse', 'preVoteResponse'), granted: fc.boolean() }),
  fc.record({
    kind: fc.constant('append'),
    previousIndex: number,
    previousTerm: number,
    entries: fc.array(someEntry, { maxLength: 3 }),
    commit: number,
  }),
  fc.nat(3).chain((previousIndex) =>
    fc.record({
      kind: fc.constant('append'),
      previousIndex: fc.constant(previousIndex),
      previousTerm: fc.nat(2),
      entries: fc
        .array(fc.nat(4), { maxLength: 3 })
        .map((terms) =>
          [...terms].sort((x, y) => x - y).map((term, position) => entry(previousIndex + 1 + position, term)),
        ),
      commit: number,
    }),
  ),
  fc.record({
    kind: fc.constant('appendResponse'),
    index: number,
    rejected: fc.boolean(),
    hintIndex: number,
    hintTerm: number,
  }),
  fc.record({
    kind: fc.constant('heartbeat'),
    commit: number,
    readContext: number,
    quiet: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('wake') }),
  fc.record({ kind: fc.constant('heartbeatResponse'), readContext: number }),
  fc.record({
    kind: fc.constant('snapshot'),
    meta: fc.record({ index: number, term: number, configuration: someConfiguration }),
  }),
  fc.record({ kind: fc.constant('timeoutNow') }),
);
const someMessage = fc
  .tuple(someId, fc.constantFrom('a', 'a', 'a', 'b'), number, someBody)
  .map(([from, to, term, body]) => ({ ...body, from, to, term }) as Message);

describe('a replica', () => {
  test('survives any message in any office, and never takes a committed entry back', () => {
    const action = fc.oneof(
      { weight: 6, arbitrary: someMessage },
      { weight: 3, arbitrary: fc.constantFrom('tick', 'turn', 'propose', 'read', 'change', 'unreachable') },
    );
    fc.assert(
      fc.property(fc.boolean(), fc.array(action, { maxLength: 60 }), fc.nat(), (leads, actions, seed) => {
        const prng = new Prng(seed);
        const raft = replica({ entries: entries(1, 1) }, { random: (low, high) => prng.int(low, high) });
        if (leads) elect(raft);
        let commit = 0;
        let context = 0;
        for (const next of actions) {
          if (typeof next !== 'string') raft.step(next);
          else if (next === 'tick') raft.tick();
          else if (next === 'turn') turn(raft);
          else if (next === 'propose') raft.propose(Uint8Array.of(1));
          else if (next === 'read') raft.readIndex(++context);
          else if (next === 'change') raft.proposeChange({ kind: 'addLearner', id: 'e' });
          else raft.reportUnreachable('b');
          const status = raft.status();
          expect(status.commit).toBeGreaterThanOrEqual(commit);
          expect(status.commit).toBeLessThanOrEqual(status.lastIndex);
          expect(Number.isSafeInteger(status.term)).toBe(true);
          commit = status.commit;
        }
        turn(raft);
      }),
      { numRuns: 500 },
    );
  });
});
