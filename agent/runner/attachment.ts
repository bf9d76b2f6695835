import type { Server, Socket } from 'node:net';
import { RUNNER_EXITS_PER_FRAME_MAX } from '../../src/lib/limits.ts';
import type { IsolationTier } from './interface.ts';
import { encodePayload, FrameReader, type FromRunner, frame, RUNNER_PROTOCOL_VERSION } from './protocol.ts';
import type { ReportOutbox } from './report-outbox.ts';
import type { Runner } from './runner.ts';
import { readMessage } from './validation.ts';

export interface AttachmentComponents {
  readonly server: Server;
  readonly runner: Runner;
  readonly outbox: ReportOutbox;
  readonly log: (message: string) => void;
  readonly onShutdown: () => void;
}

/**
 * The runner's side of the socket. One agent is attached at a time: the latest, for an older one can only be
 * hung or dead.
 */
export class Attachment {
  readonly #components: AttachmentComponents;
  readonly #tier: IsolationTier;
  #current: Socket | undefined;

  constructor(components: AttachmentComponents, init: { readonly tier: IsolationTier }) {
    this.#components = components;
    this.#tier = init.tier;
    components.server.on('connection', (socket) => this.#serve(socket));
  }

  get isAttached(): boolean {
    return this.#current !== undefined;
  }

  #serve(socket: Socket): void {
    const reader = new FrameReader();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#forget(socket));
    socket.on('data', (chunk) => {
      try {
        for (const message of reader.push(chunk)) this.#handle(socket, message);
      } catch (error) {
        this.#components.log(
          `closing a connection: ${error instanceof Error ? error.message : String(error)}`,
        );
        socket.destroy();
        this.#forget(socket);
      }
    });
  }

  #handle(socket: Socket, raw: unknown): void {
    const message = readMessage(raw);
    if (message.type === 'hello') {
      this.#attach(socket, message.version);
      return;
    }
    // What a replaced agent still had in its pipe must not take effect under its successor.
    if (socket !== this.#current) return;
    switch (message.type) {
      case 'ping':
        sendTo(socket, { type: 'pong' });
        break;
      case 'shutdown':
        this.#components.onShutdown();
        break;
      default:
        this.#components.runner.handle(message);
    }
  }

  #attach(socket: Socket, version: number): void {
    sendTo(socket, { type: 'welcome', version: RUNNER_PROTOCOL_VERSION, tier: this.#tier });
    // An agent of another version sees ours in the welcome, and decides.
    if (version !== RUNNER_PROTOCOL_VERSION) {
      socket.end();
      return;
    }
    if (this.#current !== undefined && this.#current !== socket) {
      sendTo(this.#current, { type: 'replaced' });
      this.#current.destroySoon();
    }
    this.#current = socket;
    // Into the journal first; it then is part of the state, and must not be told a second time.
    this.#components.outbox.send = undefined;
    this.#components.outbox.flush();
    this.#sendState(socket);
    this.#components.outbox.send = (payload) => socket.write(frame(payload));
  }

  #sendState(socket: Socket): void {
    const { waiting, running, exits } = this.#components.runner.state();
    const parts = Math.max(
      1,
      Math.ceil(Math.max(waiting.length, running.length, exits.length) / PART_LENGTH),
    );
    for (let part = 0; part < parts; part += 1) {
      const [from, to] = [part * PART_LENGTH, (part + 1) * PART_LENGTH];
      sendTo(socket, {
        type: 'state',
        waiting: waiting.slice(from, to),
        running: running.slice(from, to),
        exits: exits.slice(from, to),
        isLast: part === parts - 1,
      });
    }
  }

  #forget(socket: Socket): void {
    if (this.#current !== socket) return;
    this.#current = undefined;
    this.#components.outbox.send = undefined;
  }
}

const PART_LENGTH = RUNNER_EXITS_PER_FRAME_MAX;

function sendTo(socket: Socket, message: FromRunner): void {
  socket.write(frame(encodePayload(message)));
}
