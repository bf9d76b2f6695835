import type {
  ConfigurationChange,
  Message,
  ProposeResult,
} from '../../../coordinator/consensus/interface.ts';
import { describe } from '../../sim/raft-referee.ts';
import { type Envelope, RaftWorld } from '../../sim/raft-world.ts';

/**
 * Golden scripts: `> command` lines with the expected output below each, `#` comments and blank lines between. The
 * machines are called 1, 2, 3 ...; the greater its number, the longer a machine's election timeout. Unless its disk
 * was made slow, each machine carries out its Ready right after a command. Commands:
 *
 *   nodes N [learners M]          a new group; must come first
 *   options NAME=NUMBER ...       of the replicas; before `nodes`
 *   join ID                       a machine with an empty disk and no configuration
 *   elect ID                      lets it campaign, and settles
 *   tick ID|all [N]               N ticks
 *   elapse N                      N ticks of all machines, settling after each
 *   deliver [A>B] [KIND] [N]      delivers what is in the network now (the first N), not what that causes
 *   settle                        delivers and writes until nothing moves; prints what changed, not each message
 *   network                       prints what is in the network
 *   lose [A>B] [KIND]             takes from the network
 *   again KIND                    delivers a second copy of the last message of this kind
 *   cut A>B|A, heal               breaks one direction of a link, or all links of a machine
 *   propose ID TEXT [TIMES]       change ID KIND MEMBER       transfer ID TO
 *   read ID                       compact ID INDEX            unreachable ID PEER
 *   crash ID [keep N]             N unsynced batches survive  restart ID
 *   slow ID, begin ID, finish ID, fast ID
 *   step [ID] JSON                hands a forged message to its addressee, or to machine ID
 *   rest ID                       lets a leader fall quiet, if it may
 *   wake ID TICKS                 its leader's machine, or a voter's, was not heard for so long
 *   status, progress ID
 */
export function runScript(text: string): string {
  const script = new Script();
  const output: string[] = [];
  for (const line of text.split('\n')) {
    const trimmed = line.trimEnd();
    if (trimmed.startsWith('> ')) output.push(trimmed, ...script.run(trimmed.slice(2)));
    else if (trimmed.startsWith('#') || trimmed === '') output.push(trimmed);
    // All else is the output of an earlier run.
  }
  return output.join('\n');
}

const MESSAGE_LINE = /^(?:lost: )?\S+->\S+ /;
const WRITE_LINE = /^\S+ writes /;

class Script {
  readonly #options: Record<string, number> = {};
  readonly #lines: string[] = [];
  #world: RaftWorld | undefined;
  readonly #delivered: Envelope[] = [];

  run(command: string): readonly string[] {
    const [verb = '', ...words] = command.split(' ');
    this.#lines.length = 0;
    const act = this.#commands[verb];
    if (act === undefined) throw new Error(`no such command: ${verb}`);
    act(...words);
    if (this.#world !== undefined) this.#world.turnAll();
    return verb === 'settle' || verb === 'elapse'
      ? this.#lines.filter((line) => !MESSAGE_LINE.test(line) && !WRITE_LINE.test(line))
      : [...this.#lines];
  }

  get #w(): RaftWorld {
    if (this.#world === undefined) throw new Error('a script starts with `nodes`');
    return this.#world;
  }

  /** Each command with its words; missing ones are empty. */
  readonly #commands: Readonly<Record<string, (...words: string[]) => void>> = {
    options: (...words) => this.#setOptions(words),
    nodes: (count = '', _, learners = '0') => this.#nodes(Number(count), Number(learners)),
    join: (id = '') => this.#w.add(id),
    tick: (id = '', times = '1') => this.#tick(id, Number(times)),
    elect: (id = '') => this.#elect(id),
    elapse: (times = '') => {
      for (let count = 0; count < Number(times); count++) {
        this.#tick('all', 1);
        this.#w.settle();
      }
    },
    deliver: (...words) => this.#deliver(words),
    again: (kind = '') => {
      const last = this.#delivered.findLast(({ message }) => message.kind === kind);
      if (last !== undefined) this.#w.deliver(last);
    },
    settle: () => this.#w.settle(),
    network: () => {
      for (const { message } of this.#w.network) this.#print(describe(message));
    },
    lose: (...words) => {
      for (const envelope of this.#takeMatching(words)) this.#w.lose(envelope);
    },
    cut: (link = '') => this.#cut(link),
    heal: () => this.#w.cut.clear(),
    propose: (id = '', text = '', times = '1') => this.#propose(id, text, Number(times)),
    change: (id = '', kind = '', member = '') => this.#change(id, kind, member),
    transfer: (id = '', to = '') => this.#w.transfer(id, to),
    read: (id = '') => this.#read(id),
    compact: (id = '', index = '') => this.#w.compact(id, Number(index)),
    unreachable: (id = '', peer = '') => this.#w.unreachable(id, peer),
    crash: (id = '', _ = '', survives = '0') => this.#w.crash(id, Number(survives)),
    restart: (id = '') => this.#w.restart(id),
    slow: (id = '') => this.#w.slowDisks.add(id),
    fast: (id = '') => this.#w.slowDisks.delete(id),
    begin: (id = '') => this.#w.begin(id),
    finish: (id = '') => this.#w.finish(id),
    step: (...words) => this.#step(words),
    rest: (id = '') => this.#w.fallQuiet(id),
    wake: (id = '', ticks = '0') => this.#w.wake(id, Number(ticks)),
    status: () => this.#status(),
    progress: (id = '') => this.#progress(id),
  };

  /** A forged message, maybe one that no correct replica would send. */
  #step(words: readonly string[]): void {
    const at = words[0]?.startsWith('{') === true ? undefined : words[0];
    const json = words.slice(at === undefined ? 0 : 1).join(' ');
    const revive = (key: string, value: unknown): unknown => (key === 'data' ? new Uint8Array(0) : value);
    this.#w.inject(JSON.parse(json, revive) as Message, at);
  }

  #print(line: string): void {
    this.#lines.push(line);
  }

  #setOptions(words: readonly string[]): void {
    for (const word of words) {
      const [name = '', value] = word.split('=');
      this.#options[name] = Number(value);
    }
  }

  #nodes(voterCount: number, learnerCount: number): void {
    const ids = Array.from({ length: voterCount + learnerCount }, (_, position) => String(position + 1));
    const configuration = { voters: ids.slice(0, voterCount), learners: ids.slice(voterCount) };
    this.#world = new RaftWorld({
      random: (id) => (low, high) => Math.min(high, low + Number.parseInt(id, 10) - 1),
      raft: this.#options,
      trace: (line) => this.#print(line),
    });
    for (const id of ids) this.#world.add(id, configuration);
  }

  #tick(id: string, times: number): void {
    for (let count = 0; count < times; count++) {
      for (const machine of id === 'all' ? this.#w.up : [this.#w.machine(id)]) this.#w.tick(machine.id);
      this.#w.turnAll();
    }
  }

  #elect(id: string): void {
    const { raft } = this.#w.machine(id);
    while (raft.status().role === 'follower') this.#tick(id, 1);
    this.#w.settle();
    this.#lines.length = 0;
    this.#print(`${id} is ${raft.status().role} in term ${raft.status().term}`);
  }

  #deliver(words: readonly string[]): void {
    for (const envelope of this.#takeMatching(words)) {
      this.#delivered.push(envelope);
      this.#w.deliver(envelope);
    }
  }

  /** Takes envelopes off the network by link (`1>2`, `1>`, `>2`) and kind. */
  #takeMatching(words: readonly string[]): readonly Envelope[] {
    const link = words.find((word) => word.includes('>'));
    const limit = Number(words.find((word) => /^\d+$/.test(word)) ?? Number.POSITIVE_INFINITY);
    const kind = words.find((word) => /^[a-z]+$/i.test(word));
    const [from = '', to = ''] = link?.split('>') ?? [];
    const matches = ({ message }: Envelope): boolean =>
      (from === '' || message.from === from) &&
      (to === '' || message.to === to) &&
      (kind === undefined || message.kind === kind);
    const taken = this.#w.network.filter(matches).slice(0, limit);
    this.#w.network = this.#w.network.filter((envelope) => !taken.includes(envelope));
    return taken;
  }

  #cut(link: string): void {
    if (link.includes('>')) {
      this.#w.cut.add(link);
      return;
    }
    for (const other of this.#w.machines.keys()) {
      this.#w.cut.add(`${link}>${other}`).add(`${other}>${link}`);
    }
  }

  #propose(id: string, text: string, times: number): void {
    let accepted = 0;
    for (let count = 0; count < times; count++) {
      const result = this.#w.propose(id, text);
      if (result.ok && ++accepted < times) continue;
      this.#printResult(result, times > 1 ? `${accepted} taken, ` : '');
      return;
    }
  }

  #change(id: string, kind: string, member: string): void {
    this.#printResult(this.#w.proposeChange(id, { kind, id: member } as ConfigurationChange), '');
  }

  #printResult(result: ProposeResult, before: string): void {
    const answer = result.ok
      ? `index ${result.index} term ${result.term}`
      : `refused: ${result.reason}, leader ${result.leader ?? 'unknown'}`;
    this.#print(before + answer);
  }

  #read(id: string): void {
    const context = this.#w.read(id);
    this.#print(context === undefined ? 'refused' : `read ${context} asked`);
  }

  #status(): void {
    for (const { id, raft, up } of this.#w.machines.values()) {
      const { role, term, leader, commit, applied, firstIndex, lastIndex, configuration } = raft.status();
      const { voters, learners } = configuration;
      const members = `[${voters.join()}|${learners.join()}]`;
      const office = `${role} term ${term} leader ${leader ?? 'unknown'}`;
      const log = `log ${firstIndex}..${lastIndex} commit ${commit} applied ${applied}`;
      const rest = raft.quiet ? ' quiet' : '';
      this.#print(up ? `${id} ${office} ${log} ${members}${rest}` : `${id} down`);
    }
  }

  #progress(id: string): void {
    for (const [peer, { match, next, state, active }] of this.#w.machine(id).raft.status().progress()) {
      this.#print(`${peer} ${state} match ${match} next ${next}${active ? ' active' : ''}`);
    }
  }
}
