/**
 * One client that means harm, for the benchmark beside it: `hostile-client URL ACCOUNT KEY`, until its standard input
 * ends. It fuzzes signatures, and with a good key sends deep and endless filters and formulas, huge bodies, and bodies
 * that come a byte at a time, each kind on connections of its own, as fast as it gets answers.
 */
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { authorization, type SharedKey } from '../../src/client/shared-key.ts';

const [url = '', account = '', key = ''] = process.argv.slice(2);
const credentials: SharedKey = { account, key };
const target = new URL(url);
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const HUGE_BYTES = 4 * 1024 * 1024;
const VERSION = 'api-version=2022-10-01.16.0';

interface Attack {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Buffer;
  readonly authorization?: string;
}

/** Sends it and reads whatever comes back; a connection that is cut is what it deserves. */
function send({ method, path, body, authorization: forged }: Attack): Promise<void> {
  const headers: Record<string, string> = {
    'ocp-date': new Date().toUTCString(),
    // Signed too, so that no two are alike.
    'ocp-attempt': randomBytes(8).toString('hex'),
    ...(body !== undefined && { 'content-length': String(body.length), 'content-type': 'application/json' }),
  };
  headers.authorization = forged ?? authorization(credentials, { method, target: path, headers });
  return new Promise((resolve) => {
    const request = http.request({ host: target.hostname, port: target.port, agent, method, path, headers });
    request.once('response', (response) => response.resume().once('close', () => resolve()));
    request.once('error', () => resolve());
    request.end(body);
  });
}

/** One byte a second, eight at once: each holds a connection and its buffers, never an answer. */
async function slowly(): Promise<void> {
  const request = http.request({
    host: target.hostname,
    port: target.port,
    agent,
    method: 'POST',
    path: `/jobs?${VERSION}`,
    headers: { 'content-length': '1000000', authorization: `SharedKey ${account}:x` },
  });
  request.on('error', () => undefined);
  for (let byte = 0; byte < 10 && !request.destroyed; byte += 1) {
    request.write('{');
    await sleep(1_000);
  }
  request.destroy();
}

const deep = `${'('.repeat(31)}id eq 'x'${')'.repeat(31)}`;
const long = Array.from({ length: 250 }, (_, clause) => `id eq '${clause}'`).join(' or ');
const formula = `$TargetDedicatedNodes = ${Array.from({ length: 800 }, () => '1 + ').join('')}1;`;
const huge = Buffer.from(JSON.stringify({ value: [{ id: 'x', commandLine: 'y'.repeat(HUGE_BYTES - 64) }] }));
const nested = Buffer.from('['.repeat(HUGE_BYTES - 1));

const kinds: readonly (() => Promise<void>)[] = [
  () =>
    send({
      method: 'POST',
      path: `/jobs?${VERSION}`,
      authorization: `SharedKey ${account}:${randomBytes(32).toString('base64')}`,
    }),
  () => send({ method: 'GET', path: `/jobs?${VERSION}&$filter=${encodeURIComponent(deep)}` }),
  () => send({ method: 'GET', path: `/pools?${VERSION}&$filter=${encodeURIComponent(long)}` }),
  () =>
    send({
      method: 'POST',
      path: `/pools/default/evaluateautoscale?${VERSION}`,
      body: Buffer.from(JSON.stringify({ autoScaleFormula: formula })),
    }),
  () => send({ method: 'POST', path: `/jobs/nothing/addtaskcollection?${VERSION}`, body: huge }),
  () => send({ method: 'POST', path: `/jobs?${VERSION}`, body: nested }),
  ...Array.from({ length: 8 }, () => slowly),
];

process.stdin.resume().once('end', () => process.exit(0));
await Promise.all(
  kinds.map(async (attack) => {
    for (;;) await attack();
  }),
);
