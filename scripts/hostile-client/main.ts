/**
 * One client that means harm, for the benchmark beside it (`scripts/bench/hostile.ts`, which says what is measured):
 *
 *     hostile-client '{"host": …, "port": …, "attacks": ["signatures", …], "perSecond": 100, …}'
 *
 * One process of one thread, until its standard input ends. `perSecond` bounds what it sends, so that a control can be
 * given exactly the load that the agent had. At its end, and at each line of its input, it prints what it has sent.
 */
import http from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ATTACKS, type Attack, isAttack, type Victim } from './attacks.ts';

interface Orders extends Victim {
  readonly attacks: readonly string[];
  /** Loops of each attack, in place of its own number. */
  readonly loops?: number;
  readonly perSecond?: number;
}

const orders: Orders = JSON.parse(process.argv[2] ?? '{}');
const attacks: Attack[] = orders.attacks.map((name) => {
  if (!isAttack(name)) throw new Error(`there is no attack ${name}`);
  return ATTACKS[name];
});
const startedAtMs = performance.now();
let sent = 0;
let answered = 0;
let running = true;

async function loop(attack: Attack, agent: http.Agent): Promise<void> {
  while (running) {
    const { perSecond } = orders;
    const earlyMs =
      perSecond === undefined ? 0 : (sent * 1000) / perSecond - (performance.now() - startedAtMs);
    if (earlyMs > 0) {
      await sleep(Math.min(earlyMs, 100));
      continue;
    }
    sent += 1;
    if (await attack.once(orders, agent)) answered += 1;
  }
}

/** A connection that is cut after its answer, while the request is still being sent, has nobody else who would hear it. */
process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') throw error;
});

for (const attack of attacks) {
  const loops = orders.loops ?? attack.loops;
  const agent = new http.Agent({ keepAlive: true, maxSockets: loops });
  for (let number = 0; number < loops; number += 1) void loop(attack, agent);
}
const tell = (): void => void process.stdout.write(`${JSON.stringify({ sent, answered })}\n`);
createInterface(process.stdin)
  .on('line', tell)
  .once('close', () => {
    running = false;
    process.exit(0);
  });
