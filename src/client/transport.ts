/** What the client needs of HTTP, so that it runs over a unix socket, over TCP, and in a browser. */

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, percent-encoded exactly as it is to be sent (and signed). */
  readonly target: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
  /** Until the answer's headers; without it the request waits for ever. */
  readonly answerMs?: number;
  /** Longest silence in the answer's body; without it a quiet stream stays open. */
  readonly bodyIdleMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Leaving the loop early drops the connection. Throws `PeerUnreachable` where the body was cut short. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads the rest and throws it away, so that the connection can serve again. */
  drain(): Promise<void>;
}

export interface HttpTransport {
  /** Where requests go, for messages: a URL or the path of a socket. */
  readonly where: string;
  /** Rejects with `AgentUnreachable`, `Forbidden`, `OperationTimedOut`, `PeerUnreachable`, or the signal's reason. */
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}
