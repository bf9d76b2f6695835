/** Bugs of consensus, found among the machines of one group. Numbers in comments are sections of Ongaro's thesis. */
import type { RaftBug } from './planted-bug.ts';

const FOLDER = 'coordinator/consensus';

/** With files named from FOLDER on; without options the seeds' own draw. */
type Draft = Omit<RaftBug, 'world' | 'options'> & Partial<Pick<RaftBug, 'options'>>;

/** A leader is cut off and replaced, with nothing else to hold the others up. */
const USURPED: RaftBug['options'] = {
  partitions: true,
  coups: true,
  drop: 0,
  duplicate: 0,
  reorder: false,
  crashes: false,
  pauses: false,
  slowDisk: false,
  membership: false,
};
/** Leaders lose their office while their followers' disks are busy. */
const CONTESTED: RaftBug['options'] = {
  partitions: true,
  coups: true,
  slowDisk: true,
  drop: 0,
  crashes: false,
  pauses: false,
  membership: false,
};

/** Followers need snapshots, and copies of these come again long after. */
const STRAGGLING: RaftBug['options'] = { compaction: true, straggle: 0.2, drop: 0.1, crashes: false };

const BUGS: readonly Draft[] = [
  // --- What is durable before what is said (3.8) ---
  {
    name: 'a vote leaves before it is durable',
    breaks: ['R7', 'R8'],
    seedsMax: 20,
    changes: [
      {
        file: 'outbox.ts',
        find: "      case 'voteResponse':\n",
        replace: "      case 'voteResponse':\n        this.#now.push(message);\n        return;\n",
      },
    ],
  },
  {
    name: 'a vote is written without a sync',
    breaks: ['R7', 'R8'],
    seedsMax: 20,
    changes: [
      {
        file: 'raft.ts',
        find: 'this.#voteChanged || entries.length > 0 ||',
        replace: 'entries.length > 0 ||',
      },
    ],
  },
  {
    name: 'a new term is not written',
    breaks: ['R6', 'R8'],
    seedsMax: 20,
    changes: [
      {
        file: 'raft.ts',
        find: 'return this.#term !== this.#durable.term || this.#votedFor',
        replace: 'return this.#votedFor',
      },
    ],
  },
  {
    name: 'entries are acknowledged before they are durable',
    breaks: ['R5'],
    seedsMax: 20,
    changes: [
      {
        file: 'outbox.ts',
        find: "      case 'appendResponse':\n        this.#afterPersist.push(message);",
        replace:
          "        this.#afterPersist.push(message);\n        return;\n      case 'appendResponse':\n        this.#now.push(message);",
      },
    ],
  },
  {
    name: 'a leader counts its own copy before its disk has it',
    breaks: ['R5'],
    seedsMax: 150,
    changes: [
      {
        file: 'log.ts',
        find: 'this.#writing = { index: this.lastIndex, term: this.lastTerm };',
        replace: 'this.#stable = this.lastIndex;',
      },
    ],
  },
  {
    // Alone in its group; among others the answers come after the request, which waits for the disk.
    name: 'a candidate counts its own vote before it is durable',
    breaks: ['R7', 'R11'],
    seedsMax: 150,
    changes: [
      {
        file: 'raft.ts',
        find: "    this.#askForVotes('voteRequest', transfer);",
        replace:
          "    this.#askForVotes('voteRequest', transfer);\n    if (this.#office.role === 'candidate') this.#office.ballot.record(this.#options.id, true);\n    this.#decide();",
      },
      {
        file: 'raft.ts',
        find: "if (office.role === 'candidate' && this.#durable.term < this.#term) return;",
        replace: '',
      },
    ],
  },
  {
    name: 'a batch counts as written though its entries were replaced meanwhile',
    breaks: ['R5', 'assertion'],
    seedsMax: 150,
    options: CONTESTED,
    changes: [
      {
        file: 'log.ts',
        find: 'if (this.matches(index, term)) this.#stable',
        replace: 'this.#stable',
      },
      {
        file: 'log.ts',
        find: 'if (writing !== undefined && writing.index >= from) {',
        replace: 'if (writing === null) {',
      },
    ],
  },
  // --- Elections (3.4, 3.6.1) ---
  {
    name: 'a vote is forgotten when its owner steps down',
    breaks: ['R1', 'R7'],
    seedsMax: 20,
    changes: [
      {
        file: 'raft.ts',
        find: 'if (term > this.#term) {\n      this.#term = term;',
        replace: 'if (term >= this.#term) {\n      this.#term = term;',
      },
    ],
  },
  {
    name: 'votes go to candidates with a shorter log',
    breaks: ['R2', 'R4', 'assertion'],
    seedsMax: 100,
    changes: [
      {
        file: 'raft.ts',
        find: 'free && this.#log.isUpToDate(message.lastIndex, message.lastTerm);',
        replace: 'free;',
      },
      {
        file: 'raft.ts',
        find: '!behind && this.#log.isUpToDate(message.lastIndex, message.lastTerm) && !',
        replace: '!behind && !',
      },
    ],
  },
  {
    name: 'a granted pre-vote takes the vote of the present term (9.6)',
    breaks: ['R7'],
    seedsMax: 20,
    changes: [
      {
        file: 'raft.ts',
        find: "this.#send(message.from, { kind: 'preVoteResponse', granted });",
        replace:
          "if (granted) this.#votedFor = message.from;\n    this.#send(message.from, { kind: 'preVoteResponse', granted });",
      },
    ],
  },
  // --- Commitment (3.5, 3.6.2) ---
  {
    name: 'entries of an earlier term are committed by counting copies',
    breaks: ['R4'],
    seedsMax: 60,
    changes: [
      {
        file: 'leadership.ts',
        find: 'if (index <= before || !this.#log.matches(index, this.#term)) return false;',
        replace: 'if (index <= before) return false;',
      },
    ],
  },
  {
    name: 'a learner counts in the quorum (4.2.1)',
    breaks: ['R5'],
    seedsMax: 150,
    changes: [
      {
        file: 'configuration.ts',
        find: 'configuration.voters.map(reached)',
        replace: '[...configuration.voters, ...configuration.learners].map(reached)',
      },
      // A learner is given nothing that is not committed, and so could not count for it.
      {
        file: 'leadership.ts',
        find: 'return this.#learners.has(id) ? this.#log.commit : this.#log.lastIndex;',
        replace: 'return this.#log.lastIndex;',
      },
      {
        file: 'leadership.ts',
        find: 'this.#makeDue(this.#votersDue);\n    this.#uncommittedBytes',
        replace:
          'this.#makeDue(this.#votersDue);\n    this.#makeDue(this.#learnersDue);\n    this.#uncommittedBytes',
      },
    ],
  },
  {
    name: 'a heartbeat names a commit index that its follower may not have',
    breaks: ['R2'],
    seedsMax: 300,
    options: CONTESTED,
    changes: [
      {
        file: 'leadership.ts',
        find: 'commit: Math.min(progress.match, this.#log.commit),',
        replace: 'commit: this.#log.commit,',
      },
    ],
  },
  {
    name: 'an append cuts the log although it agrees, below what is committed',
    breaks: ['R5', 'R6'],
    seedsMax: 150,
    changes: [
      {
        file: 'log.ts',
        find: 'if (entry === undefined || this.holds(entry.index, entry.term)) continue;',
        replace: 'if (entry === undefined) continue;',
      },
      {
        file: 'log.ts',
        find: "invariant(from > this.#commit, 'a committed entry is never cut');",
        replace: '',
      },
    ],
  },
  // --- Membership (4.1) ---
  {
    name: 'voters change before the leader committed an entry of its term',
    breaks: ['R10'],
    seedsMax: 150,
    changes: [
      {
        file: 'leadership.ts',
        find: 'return this.#log.configurationIndex <= this.#log.commit && this.#committedInTerm;',
        replace: 'return this.#log.configurationIndex <= this.#log.commit;',
      },
    ],
  },
  {
    name: 'two changes of the voters are under way at once',
    breaks: ['R10'],
    seedsMax: 150,
    changes: [
      {
        file: 'leadership.ts',
        find: 'return this.#log.configurationIndex <= this.#log.commit && this.#committedInTerm;',
        replace: 'return this.#committedInTerm;',
      },
    ],
  },
  {
    name: 'a removed voter is counted until its removal is committed',
    breaks: ['R5'],
    seedsMax: 150,
    changes: [
      {
        file: 'leadership.ts',
        find: 'quorumValue(this.#log.configuration, this.#matchOf)',
        replace: 'quorumValue(this.#log.committedConfiguration, this.#matchOf)',
      },
    ],
  },
  // --- Snapshots (5) ---
  {
    name: 'a snapshot carries the configuration of the start of the log',
    breaks: ['R10'],
    seedsMax: 200,
    changes: [
      {
        file: 'log.ts',
        find: 'return { index, term, configuration: this.#configurationAt(index) };',
        replace: 'return { index, term, configuration: this.#start.configuration };',
      },
    ],
  },
  {
    name: 'a stale snapshot is installed',
    breaks: ['R2', 'R5', 'R6'],
    seedsMax: 400,
    options: STRAGGLING,
    changes: [
      { file: 'raft.ts', find: 'if (meta.index > log.commit) {', replace: 'if (meta.index > 0) {' },
      {
        file: 'raft.ts',
        find: 'if (log.matches(meta.index, meta.term)) log.commitTo(meta.index);\n      else log.restore(meta);',
        replace: 'log.restore(meta);',
      },
      {
        file: 'log.ts',
        find: "invariant(snapshot.index > this.#commit, 'a snapshot never takes a committed entry back');",
        replace: '',
      },
    ],
  },
  // --- Reads (6.4) ---
  {
    name: 'a read is answered without asking a quorum',
    breaks: ['reads'],
    seedsMax: 150,
    options: USURPED,
    changes: [
      {
        file: 'leadership.ts',
        find: 'quorumValue(this.#log.configuration, this.#readRoundOf)',
        replace: 'this.#reads.latest',
      },
    ],
  },
  {
    name: 'a read is answered before the leader committed an entry of its term',
    breaks: ['reads'],
    seedsMax: 150,
    changes: [
      {
        file: 'leadership.ts',
        find: 'if (this.#reads.hasWaiting && this.#committedInTerm) {',
        replace: 'if (this.#reads.hasWaiting) {',
      },
    ],
  },
];

export const RAFT_BUGS: readonly RaftBug[] = BUGS.map((bug) => ({
  options: {},
  ...bug,
  world: 'raft',
  changes: bug.changes.map(({ file, ...change }) => ({ file: `${FOLDER}/${file}`, ...change })),
}));
