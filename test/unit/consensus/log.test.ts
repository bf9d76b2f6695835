import { describe, expect, test } from 'vitest';
import { encodeConfiguration } from '../../../coordinator/consensus/configuration.ts';
import type { Entry, SnapshotMeta } from '../../../coordinator/consensus/interface.ts';
import { RaftLog, type UnstableLog } from '../../../coordinator/consensus/log.ts';
import { fc } from '../../support/properties.ts';

const START: SnapshotMeta = { index: 0, term: 0, configuration: { voters: ['a'], learners: [] } };

function emptyLog(): RaftLog {
  return new RaftLog({
    hardState: { term: 0, votedFor: null, commit: 0 },
    snapshot: START,
    entries: [],
    applied: 0,
  });
}

function entry(index: number, term: number, voters?: readonly string[]): Entry {
  return voters === undefined
    ? { index, term, kind: 'command', data: Uint8Array.of(index & 255, term & 255) }
    : { index, term, kind: 'configuration', data: encodeConfiguration({ voters, learners: [] }) };
}

/** What a disk holds after it was told everything that `takeUnstable` gave. */
class DiskModel {
  base = 0;
  terms: number[] = [];

  write({ snapshot, truncateFrom, entries }: UnstableLog): void {
    if (snapshot !== undefined) {
      this.base = snapshot.index;
      this.terms = [];
    }
    if (truncateFrom !== undefined) this.terms.length = Math.max(0, truncateFrom - this.base - 1);
    for (const { index, term } of entries) {
      expect(index).toBe(this.base + this.terms.length + 1);
      this.terms.push(term);
    }
  }

  term(index: number): number | undefined {
    return this.terms[index - this.base - 1];
  }
}

type Step =
  | { readonly kind: 'append'; readonly newTerm: boolean; readonly change: boolean }
  | { readonly kind: 'contradict'; readonly back: number; readonly count: number }
  | { readonly kind: 'commit'; readonly share: number }
  | { readonly kind: 'take' | 'written' | 'apply' }
  | { readonly kind: 'compact'; readonly share: number }
  | { readonly kind: 'restore'; readonly ahead: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('append'), newTerm: fc.boolean(), change: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('contradict'), back: fc.nat(4), count: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('commit'), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('take', 'written', 'apply') }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('compact'), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('restore'), ahead: fc.integer({ min: 1, max: 3 }) }),
  },
);

/** Does to a log what leaders, drivers and disks do, in any order, beside a model as plain as can be. */
class LogModel {
  readonly log = emptyLog();
  readonly disk = new DiskModel();
  /** Every entry since index 1, even those the log has forgotten; undefined below a restored snapshot. */
  readonly entries: (Entry | undefined)[] = [];
  #term = 1;
  #underway = false;

  run(next: Step): void {
    switch (next.kind) {
      case 'append': {
        if (next.newTerm) this.#term++;
        const index = this.entries.length + 1;
        const added = entry(index, this.#term, next.change ? ['a', `b${index}`] : undefined);
        this.log.append(added);
        this.entries.push(added);
        break;
      }
      case 'contradict':
        this.#contradict(next.back, next.count);
        break;
      case 'commit':
        this.log.commitTo(Math.floor(next.share * this.entries.length));
        break;
      case 'take':
        this.#take();
        break;
      case 'written':
        if (this.#underway) this.log.written();
        this.#underway = false;
        break;
      case 'apply': {
        const last = this.log.unapplied(Number.POSITIVE_INFINITY).at(-1);
        if (last !== undefined) this.log.appliedTo(last.index);
        break;
      }
      case 'compact':
        this.log.compact(Math.floor(next.share * this.log.applied));
        break;
      case 'restore':
        this.#restore(next.ahead);
        break;
    }
  }

  #take(): void {
    if (this.#underway) return;
    const unstable = this.log.takeUnstable();
    this.disk.write(unstable);
    if (unstable.snapshot !== undefined) this.log.appliedTo(unstable.snapshot.index);
    this.#underway = true;
  }

  /** A new leader's entries, from `back` entries before the end on: some equal, the rest of a new term. */
  #contradict(back: number, count: number): void {
    const previous = Math.max(this.log.commit, this.entries.length - back);
    this.#term++;
    const news = Array.from({ length: count }, (_, offset) => entry(previous + offset + 1, this.#term));
    const kept = this.entries.slice(Math.max(this.log.start.index, previous - 2), previous);
    this.log.merge([...kept.filter((known) => known !== undefined), ...news]);
    if (news.length > 0) this.entries.splice(previous, Number.POSITIVE_INFINITY, ...news);
  }

  #restore(ahead: number): void {
    const index = Math.max(this.log.commit, this.entries.length) + ahead;
    this.#term++;
    const configuration = { voters: ['a', `s${index}`], learners: [] };
    this.log.restore({ index, term: this.#term, configuration });
    this.entries.length = 0;
    this.entries.length = index;
  }

  check(): void {
    const { log } = this;
    expect(log.lastIndex).toBe(this.entries.length);
    expect(log.start.index).toBeLessThanOrEqual(Math.max(log.applied, log.start.index));
    expect(log.commit).toBeLessThanOrEqual(log.lastIndex);
    for (let index = log.firstIndex; index <= log.lastIndex; index++) {
      const known = this.entries[index - 1];
      if (known !== undefined) expect(log.term(index)).toBe(known.term);
    }
    // What is called stable is on disk, as it is in memory.
    if (log.stable > log.start.index) expect(this.disk.term(log.stable)).toBe(log.term(log.stable));
    const last = this.entries.findLast((known) => known?.kind === 'configuration');
    if (last !== undefined && last.index > log.start.index) {
      expect(log.configuration.voters).toEqual(['a', `b${last.index}`]);
      expect(log.metaAt(last.index - 1).configuration.voters).not.toEqual(['a', `b${last.index}`]);
    } else {
      expect(log.configuration).toEqual(log.start.configuration);
    }
  }
}

describe('the log', () => {
  test('agrees with a plain model, and its disk with it, whatever leaders and disks do', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const model = new LogModel();
        for (const next of steps) {
          model.run(next);
          model.check();
        }
        model.run({ kind: 'written' });
        model.run({ kind: 'take' });
        model.run({ kind: 'written' });
        model.check();
        expect(model.log.stable).toBe(model.log.lastIndex);
        expect(model.log.hasUnstable).toBe(false);
        expect(model.disk.base + model.disk.terms.length).toBe(model.log.lastIndex);
      }),
      { numRuns: 400 },
    );
  });

  test('calls an entry stable only if it is still the one that was written', () => {
    const log = emptyLog();
    for (const index of [1, 2, 3]) log.append(entry(index, 1));
    log.takeUnstable();
    log.merge([entry(2, 2), entry(3, 2)]);
    log.written();
    expect(log.stable).toBe(1);
    expect(log.takeUnstable()).toMatchObject({ truncateFrom: 2, entries: [{ index: 2 }, { index: 3 }] });
  });

  test('has nothing left to cut once a snapshot replaced it', () => {
    const log = emptyLog();
    for (const index of [1, 2, 3]) log.append(entry(index, 1));
    log.takeUnstable();
    log.merge([entry(2, 2)]);
    log.restore({ index: 9, term: 3, configuration: START.configuration });
    log.written();
    log.merge([entry(10, 3)]);
    expect(log.stable).toBe(9);
    expect(log.takeUnstable()).toMatchObject({
      truncateFrom: undefined,
      snapshot: { index: 9 },
      entries: [{ index: 10 }],
    });
  });

  test('cuts nothing where a late message repeats what is here', () => {
    const log = emptyLog();
    for (const index of [1, 2, 3]) log.append(entry(index, 1));
    log.takeUnstable();
    log.written();
    log.merge([entry(1, 1), entry(2, 1)]);
    expect(log.lastIndex).toBe(3);
    expect(log.hasUnstable).toBe(false);
  });

  test('hands out at least one entry, however large, and no more bytes than asked', () => {
    const log = emptyLog();
    for (const index of [1, 2, 3, 4]) {
      log.append({ index, term: 1, kind: 'command', data: new Uint8Array(100) });
    }
    expect(log.slice(1, 1).length).toBe(1);
    expect(log.slice(1, 300).length).toBe(2);
    expect(log.slice(1, 1_000).length).toBe(4);
    expect(log.slice(5, 1_000).length).toBe(0);
  });

  test('looks back to a term by halving', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 30 }), fc.nat(40), fc.nat(10), (rises, from, term) => {
        const log = emptyLog();
        let last = 1;
        rises.forEach((rise, position) => {
          if (rise) last++;
          log.append(entry(position + 1, last));
        });
        let expected = Math.min(from, log.lastIndex);
        while (expected > 0 && (log.term(expected) ?? 0) > term) expected--;
        expect(log.lastIndexWithTermAtMost(from, term)).toBe(expected);
      }),
    );
  });

  test('does not start on a disk that lost what it had committed', () => {
    const state = {
      hardState: { term: 1, votedFor: null, commit: 3 },
      snapshot: START,
      entries: [entry(1, 1), entry(2, 1)],
      applied: 0,
    };
    expect(() => new RaftLog(state)).toThrow('commit index');
    expect(() => new RaftLog({ ...state, entries: [entry(1, 1), entry(3, 1)] })).toThrow('no gap');
  });
});
