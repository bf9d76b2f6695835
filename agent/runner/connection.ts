import { createConnection, type Socket } from 'node:net';
import type { Clock } from '../../src/lib/clock.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { RUNNER_HELLO_TIMEOUT_MS } from '../../src/lib/limits.ts';
import type { ExecutionKey, Exit, IsolationTier, RunnerState, Running } from './interface.ts';
import {
  encodePayload,
  FrameReader,
  type FromRunner,
  frame,
  RUNNER_PROTOCOL_VERSION,
  type ToRunner,
} from './protocol.ts';

/** What comes after the first state. */
export type RunnerEvent = Exclude<FromRunner, { type: 'welcome' } | { type: 'state' }>;

export interface ConnectionHandler {
  onEvent(event: RunnerEvent): void;
  onClose(): void;
}

/** The agent's side of one connection whose greetings are over. */
export class RunnerConnection {
  readonly tier: IsolationTier;
  readonly state: RunnerState;
  readonly #socket: Socket;
  #handler: ConnectionHandler | undefined;
  #held: RunnerEvent[] = [];
  #isClosed = false;

  constructor(socket: Socket, tier: IsolationTier, state: RunnerState) {
    this.#socket = socket;
    this.tier = tier;
    this.state = state;
  }

  /** Hands over the events, those that came before this call first. */
  listen(handler: ConnectionHandler): void {
    this.#handler = handler;
    const held = this.#held;
    this.#held = [];
    for (const event of held) handler.onEvent(event);
    if (this.#isClosed) handler.onClose();
  }

  /** Frames of `encodeFrame`, in one write. */
  write(frames: readonly Buffer[]): void {
    this.#socket.write(frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames));
  }

  /** Closes after all that was written has left. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  receive(event: RunnerEvent): void {
    if (this.#handler === undefined) this.#held.push(event);
    else this.#handler.onEvent(event);
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handler?.onClose();
  }
}

export function encodeFrame(message: ToRunner): Buffer {
  return frame(encodePayload(message));
}

/**
 * Connects and attaches. Undefined if nobody listens there.
 *
 * @throws ShoalError if somebody does, but is not a working runner of this version.
 */
export async function connectRunner(path: string, clock: Clock): Promise<RunnerConnection | undefined> {
  const socket = createConnection(path);
  try {
    if (!(await opened(socket))) return undefined;
    return await greet(socket, clock);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function opened(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
}

function greet(socket: Socket, clock: Clock): Promise<RunnerConnection> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader();
    const greeting = new Greeting();
    let connection: RunnerConnection | undefined;
    const timer = clock.after(RUNNER_HELLO_TIMEOUT_MS, () => {
      reject(new ShoalError('OperationTimedOut', 'The runner accepts connections but does not answer.'));
    });
    const onMessage = (message: FromRunner): void => {
      if (connection !== undefined) {
        if (message.type !== 'welcome' && message.type !== 'state') connection.receive(message);
        return;
      }
      connection = greeting.take(socket, message);
      if (connection === undefined) return;
      timer.cancel();
      resolve(connection);
    };
    socket.on('data', (chunk) => {
      try {
        for (const message of reader.push(chunk)) onMessage(message as FromRunner);
      } catch (error) {
        reject(error);
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      timer.cancel();
      reject(new ShoalError('PeerUnreachable', 'The runner closed the connection.'));
      connection?.closed();
    });
    socket.write(encodeFrame({ type: 'hello', version: RUNNER_PROTOCOL_VERSION }));
  });
}

/** Gathers the runner's first words: a welcome, and its state in parts. */
class Greeting {
  #tier: IsolationTier | undefined;
  readonly #waiting: ExecutionKey[] = [];
  readonly #running: Running[] = [];
  readonly #exits: Exit[] = [];

  /** The connection, once the state is complete. */
  take(socket: Socket, message: FromRunner): RunnerConnection | undefined {
    if (message.type === 'welcome') {
      if (message.version !== RUNNER_PROTOCOL_VERSION) {
        throw new ShoalError(
          'OperationInvalidForCurrentState',
          `The runner speaks version ${message.version}.`,
        );
      }
      this.#tier = message.tier;
    } else if (message.type === 'state' && this.#tier !== undefined) {
      this.#waiting.push(...message.waiting);
      this.#running.push(...message.running);
      this.#exits.push(...message.exits);
      if (message.isLast) {
        const state = { waiting: this.#waiting, running: this.#running, exits: this.#exits };
        return new RunnerConnection(socket, this.#tier, state);
      }
    }
    return undefined;
  }
}
