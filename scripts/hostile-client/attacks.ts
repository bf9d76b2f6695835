/** What a client that means harm sends: one record for each kind, so that each can be run, and mended, alone. */
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { authorization as sharedKey } from '../../src/lib/shared-key.ts';

export interface Victim {
  readonly host: string;
  readonly port: number;
  /** The address that the attack comes from. */
  readonly localAddress: string;
  readonly account: string;
  /** Base64; the client has it honestly, or has stolen it. */
  readonly key: string;
  /** A bearer token of its own, used in place of the key where it has one. */
  readonly token: string | undefined;
  /** A job with many tasks. */
  readonly job: string;
  /** A pool that has a formula. */
  readonly pool: string;
}

export interface Attack {
  readonly what: string;
  /** Loops at once. Each sends, and sends again when it was answered or cut. */
  readonly loops: number;
  /** One turn of a loop; resolves with whether it was answered at all. */
  readonly once: (victim: Victim, agent: http.Agent) => Promise<boolean>;
}

const HUGE_BYTES = 4 * 1024 * 1024;
const VERSION = 'api-version=2022-10-01.16.0';

interface Sent {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  readonly authorization?: string;
}

/** Sends it and reads whatever comes back; a connection that is cut is what it deserves. */
function send(
  victim: Victim,
  agent: http.Agent,
  { method, path, body, authorization }: Sent,
): Promise<boolean> {
  const headers: Record<string, string> = {
    'ocp-date': new Date().toUTCString(),
    // Signed too, so that no two are alike.
    'ocp-attempt': randomBytes(8).toString('hex'),
    ...(body !== undefined && { 'content-length': String(body.length), 'content-type': 'application/json' }),
  };
  headers.authorization = authorization ?? authorized(victim, { method, path, headers });
  const { host, port, localAddress } = victim;
  return new Promise((resolve) => {
    const request = http.request({ host, port, localAddress, agent, method, path, headers });
    request.once('response', (response) =>
      response
        .on('error', () => undefined)
        .resume()
        .once('close', () => resolve(true)),
    );
    request.on('error', () => resolve(false));
    request.end(body);
  });
}

function authorized(
  { account, key, token }: Victim,
  { method, path, headers }: { method: string; path: string; headers: Readonly<Record<string, string>> },
): string {
  if (token !== undefined) return `Bearer ${token}`;
  return sharedKey({ account, key }, { method, url: path, headers });
}

/** Bytes on a connection of their own, until `forMs` is over or the other side ends it. */
function onConnection(victim: Victim, bytes: string, forMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    let heard = false;
    const socket = connect({ host: victim.host, port: victim.port, localAddress: victim.localAddress });
    const timer = setTimeout(() => socket.destroy(), forMs);
    socket.once('connect', () => socket.write(bytes));
    socket.on('data', () => {
      heard = true;
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve(heard);
    });
  });
}

function forged({ account }: Victim): string {
  return `SharedKey ${account}:${randomBytes(32).toString('base64')}`;
}

/** One byte a second of a body that says it is long: each holds a connection and its buffers, never an answer. */
async function slowly(victim: Victim, agent: http.Agent): Promise<boolean> {
  const path = `/jobs?${VERSION}`;
  const headers: Record<string, string> = {
    'content-length': '900000',
    'ocp-date': new Date().toUTCString(),
    'ocp-attempt': randomBytes(8).toString('hex'),
  };
  headers.authorization = authorized(victim, { method: 'POST', path, headers });
  const { host, port, localAddress } = victim;
  const request = http.request({ host, port, localAddress, agent, method: 'POST', path, headers });
  request.on('error', () => undefined);
  request.once('response', (response) => response.resume());
  for (let byte = 0; byte < 10 && !request.destroyed; byte += 1) {
    request.write('{');
    await sleep(1_000);
  }
  request.destroy();
  return false;
}

const deep = encodeURIComponent(`${'('.repeat(31)}id eq 'x'${')'.repeat(31)}`);
const tooDeep = encodeURIComponent(`${'('.repeat(2_000)}id eq 'x'${')'.repeat(2_000)}`);
const long = encodeURIComponent(Array.from({ length: 250 }, (_, clause) => `id eq '${clause}'`).join(' or '));
const endless = `$TargetDedicatedNodes = ${'1 + '.repeat(800)}1;`;
const laborious = Array.from({ length: 90 }, (_, line) => `v${line} = sum(range(0, 2000, 1));`).join('\n');
const huge = Buffer.from(JSON.stringify({ value: [{ id: 'x', commandLine: 'y'.repeat(HUGE_BYTES - 64) }] }));
const nested = Buffer.from('['.repeat(HUGE_BYTES - 1));
const wide = Buffer.from(
  JSON.stringify({
    value: Array.from({ length: 12_000 }, (_, task) => ({ id: `t${task}`, commandLine: 'x', a: [] })),
  }),
);

function formula(text: string): Attack['once'] {
  const body = Buffer.from(JSON.stringify({ autoScaleFormula: text }));
  return (victim, agent) =>
    send(victim, agent, { method: 'POST', path: `/pools/${victim.pool}/evaluateautoscale?${VERSION}`, body });
}

export const ATTACKS = {
  signatures: {
    what: 'wrong signatures',
    loops: 8,
    once: (victim, agent) =>
      send(victim, agent, { method: 'POST', path: `/jobs?${VERSION}`, authorization: forged(victim) }),
  },
  'huge-unsigned': {
    what: 'bodies of 4 MiB under wrong signatures',
    loops: 4,
    once: (victim, agent) =>
      send(victim, agent, {
        method: 'POST',
        path: `/jobs?${VERSION}`,
        body: huge,
        authorization: forged(victim),
      }),
  },
  connections: {
    what: 'connections of one bad request each',
    loops: 8,
    once: (victim) => onConnection(victim, 'GET / HTTP/1.0\r\n\r\n', 5_000),
  },
  garbage: {
    what: 'connections of no HTTP at all',
    loops: 8,
    once: (victim) => onConnection(victim, '\u0000'.repeat(64), 5_000),
  },
  idle: {
    what: '2,000 connections that say nothing',
    loops: 2_000,
    once: async (victim) => {
      await onConnection(victim, '', 10_000);
      await sleep(1_000);
      return false;
    },
  },
  slow: { what: 'bodies of a byte a second', loops: 64, once: slowly },
  'deep-filter': {
    what: 'filters of 31 parentheses',
    loops: 8,
    once: (victim, agent) => send(victim, agent, { method: 'GET', path: `/jobs?${VERSION}&$filter=${deep}` }),
  },
  'too-deep-filter': {
    what: 'filters of 2,000 parentheses',
    loops: 8,
    once: (victim, agent) =>
      send(victim, agent, { method: 'GET', path: `/jobs?${VERSION}&$filter=${tooDeep}` }),
  },
  'long-filter': {
    what: 'filters of 250 comparisons',
    loops: 8,
    once: (victim, agent) =>
      send(victim, agent, { method: 'GET', path: `/pools?${VERSION}&$filter=${long}` }),
  },
  'large-list': {
    what: 'filters of 250 comparisons over a large job',
    loops: 8,
    once: (victim, agent) =>
      send(victim, agent, { method: 'GET', path: `/jobs/${victim.job}/tasks?${VERSION}&$filter=${long}` }),
  },
  pages: {
    what: 'pages of 1,000 tasks',
    loops: 8,
    once: (victim, agent) =>
      send(victim, agent, { method: 'GET', path: `/jobs/${victim.job}/tasks?${VERSION}` }),
  },
  'endless-formula': { what: 'formulas too deep', loops: 8, once: formula(endless) },
  'laborious-formula': { what: 'formulas of 180,000 steps', loops: 8, once: formula(laborious) },
  huge: {
    what: 'bodies of 4 MiB',
    loops: 4,
    once: (victim, agent) =>
      send(victim, agent, { method: 'POST', path: `/jobs/nothing/addtaskcollection?${VERSION}`, body: huge }),
  },
  wide: {
    what: 'bodies of 12,000 tasks, 600 KB',
    loops: 4,
    once: (victim, agent) =>
      send(victim, agent, { method: 'POST', path: `/jobs/nothing/addtaskcollection?${VERSION}`, body: wide }),
  },
  nested: {
    what: 'bodies of four million brackets',
    loops: 4,
    once: (victim, agent) => send(victim, agent, { method: 'POST', path: `/jobs?${VERSION}`, body: nested }),
  },
  reads: {
    what: 'good reads, 32 at once',
    loops: 32,
    once: (victim, agent) => send(victim, agent, { method: 'GET', path: `/jobs/${victim.job}?${VERSION}` }),
  },
} as const satisfies Record<string, Attack>;

export type AttackName = keyof typeof ATTACKS;

export function isAttack(name: string): name is AttackName {
  return Object.hasOwn(ATTACKS, name);
}
