/**
 * A transport that also reaches the machine itself, so that a coordinator speaks to the agent beside it exactly as to
 * any other. What is addressed to oneself is delivered in the next turn of the loop, never inside the call.
 */
import type { Clock } from '../lib/clock.ts';
import { ShoalError } from '../lib/errors.ts';
import type { RequestHandler, Transport } from './interface.ts';

type MessageListener = (from: string, payload: Uint8Array) => void;

export function withLoopback(remote: Transport, clock: Clock): Transport {
  const { self } = remote;
  const channels = new Map<string, MessageListener>();
  const handlers = new Map<string, RequestHandler>();
  const topics = new Map<string, Set<MessageListener>>();

  const requestSelf = (method: string, payload: Uint8Array, signal: AbortSignal): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      clock.soon(() => {
        const handler = handlers.get(method);
        if (handler === undefined)
          return reject(new ShoalError('PeerUnreachable', `This machine does not serve ${method}.`));
        handler(self, payload, signal).then(resolve, reject);
      });
    });

  return {
    self,
    connected: () => [self, ...remote.connected()],
    isConnected: (peer) => peer === self || remote.isConnected(peer),
    onPeer: (listener) => remote.onPeer(listener),
    send(peer, channel, payload) {
      if (peer !== self) return remote.send(peer, channel, payload);
      clock.soon(() => channels.get(channel)?.(self, payload));
      return true;
    },
    onMessage(channel, listener) {
      channels.set(channel, listener);
      remote.onMessage(channel, listener);
    },
    request(peer, method, payload, options) {
      if (peer !== self) return remote.request(peer, method, payload, options);
      return requestSelf(method, payload, options?.signal ?? new AbortController().signal);
    },
    onRequest(method, handler) {
      handlers.set(method, handler);
      remote.onRequest(method, handler);
    },
    publish(topic, payload) {
      const own = topics.get(topic);
      if (own !== undefined) {
        clock.soon(() => {
          for (const listener of own) listener(self, payload);
        });
      }
      remote.publish(topic, payload);
    },
    subscribe(topic, listener) {
      const own = topics.get(topic) ?? new Set();
      topics.set(topic, own.add(listener));
      const stop = remote.subscribe(topic, listener);
      return () => {
        own.delete(listener);
        stop();
      };
    },
  };
}
