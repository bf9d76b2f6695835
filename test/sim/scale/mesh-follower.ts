/**
 * A learner of the mesh group that keeps nothing: it answers the leader as the real one does, message for message, so that
 * the leader pays for it what it pays for a real one; what the entries say it reads in the copy of a machine that keeps
 * them. Ten thousand copies of ten thousand members do not fit into one process.
 */
import type { Transport } from '../../../src/mesh/interface.ts';
import type { MachineId } from '../../../src/model/ids.ts';
import { decode } from '../../../src/wire/codec.ts';
import { RAFT_CHANNEL, RaftFrame } from '../../../src/wire/protocol.ts';

type Frame = ReturnType<typeof RaftFrame.decode>;
type Message = Frame['messages'][number]['message'];

export class MeshFollower {
  readonly #self: MachineId;
  readonly #transport: Transport;
  /** It says that it has whatever the first append follows: as if it had been given a snapshot a moment ago. */
  #lastIndex: number | undefined;

  constructor(self: MachineId, transport: Transport) {
    this.#self = self;
    this.#transport = transport;
    transport.onMessage(RAFT_CHANNEL, (from, payload) => this.#receive(from, payload));
  }

  #receive(from: string, payload: Uint8Array): void {
    const { wallMs, messages } = decode(payload) as Frame;
    const answers = messages.flatMap(({ group, generation, message }) => {
      const answer = this.#answer(message);
      return answer === undefined ? [] : [{ group, generation, message: answer }];
    });
    if (answers.length > 0)
      this.#transport.send(from, RAFT_CHANNEL, RaftFrame.encode({ wallMs, messages: answers }));
  }

  #answer(message: Message): Message | undefined {
    const base = { from: this.#self, to: message.from, term: message.term };
    if (message.kind === 'heartbeat')
      return { ...base, kind: 'heartbeatResponse', readContext: message.readContext };
    if (message.kind !== 'append') return undefined;
    const { previousIndex, entries, packed } = message;
    const index = previousIndex + (packed?.count ?? entries.length);
    this.#lastIndex = Math.max(this.#lastIndex ?? 0, index);
    return {
      ...base,
      kind: 'appendResponse',
      index,
      rejected: false,
      hintIndex: 0,
      hintTerm: 0,
    };
  }
}
