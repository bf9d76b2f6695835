import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { executionName } from '../../../agent/runner/execution-key.ts';
import type { Launch } from '../../../agent/runner/interface.ts';
import { probeIsolation } from '../../../agent/runner/isolation.ts';
import {
  encodePayload,
  FrameReader,
  frame,
  RUNNER_PROTOCOL_VERSION,
  socketPlace,
} from '../../../agent/runner/protocol.ts';
import { bundle, key, Recorder, shell, until, Workbench } from './harness.ts';

let build: string;
let script: string;
let agentScript: string;
let bench: Workbench;
let agents: ChildProcess[] = [];
beforeAll(async () => {
  build = await mkdtemp(join(tmpdir(), 'shoal-build-'));
  script = await bundle('agent/runner/main.ts', join(build, 'runner.cjs'));
  agentScript = await bundle('test/unit/runner/agent-process.ts', join(build, 'agent.cjs'));
});
afterAll(() => rmSync(build, { recursive: true }));
beforeEach(() => {
  bench = new Workbench(script);
});
afterEach(async () => {
  for (const agent of agents) agent.kill('SIGKILL');
  agents = [];
  await bench.end();
});

/** An agent as a process; its output grows in `lines`. */
function startAgent(launches: readonly Launch[], leaseMs = 60_000): { agent: ChildProcess; lines: string[] } {
  const work = JSON.stringify({ setup: bench.setup(), launches });
  const agent = spawn(process.execPath, [agentScript, bench.directory, script, String(leaseMs), work]);
  const lines: string[] = [];
  agent.stdout?.on('data', (chunk: Buffer) => lines.push(...chunk.toString().trim().split('\n')));
  agents.push(agent);
  return { agent, lines };
}

const isRunner = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(process.execPath);
const marks = (path: string): number => (existsSync(path) ? readFileSync(path, 'utf8').length : 0);
const settle = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

describe('an agent that was killed', () => {
  it('finds at its return everything its runner did meanwhile, and nothing runs twice', async () => {
    const runs = join(bench.root, 'runs');
    const tasks = Array.from({ length: 40 }, (_, task) => task);
    const launches = tasks.map((task) =>
      bench.launch(task, shell(`printf x >> ${runs}.${task}; sleep 0.0${task % 10}`)),
    );
    const { agent, lines } = startAgent(launches);
    await until(() => lines.filter((line) => line.startsWith('exit')).length > 8, 'a part has ended');
    agent.kill('SIGKILL');
    const told = new Set<string>();
    const client = bench.client();
    const recorder = new Recorder();
    const state = await client.attach(recorder);
    for (const exit of state.exits) told.add(executionName(exit.key));
    client.configureNode(bench.setup());
    client.setLease('pool', 60_000);
    // It does not know what arrived, so it asks for all of it again.
    client.launch(launches);
    await until(
      () =>
        tasks.every(
          (task) => told.has(executionName(key(task))) || recorder.exits.has(executionName(key(task))),
        ),
      'all have ended',
    );
    expect(state.exits.length).toBeGreaterThan(0);
    expect(tasks.map((task) => marks(`${runs}.${task}`))).toEqual(Array(40).fill(1));
  });

  it('cannot keep its tasks alive beyond the lease: dead, or stopped', async () => {
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      const path = join(bench.root, signal);
      const beat = `while :; do printf x >> ${path}; sleep 0.02; done`;
      const { agent } = startAgent(
        [bench.launch(1, shell(`setsid sh -c "${beat}" & trap "" TERM; sleep 60`))],
        300,
      );
      await until(() => marks(path) > 2, 'the task runs');
      await settle(450);
      const renewed = marks(path);
      agent.kill(signal);
      await settle(550);
      const atEnd = marks(path);
      await settle(150);
      expect(atEnd).toBeGreaterThan(renewed);
      expect(marks(path)).toBe(atEnd);
      const client = bench.client();
      const { exits, running } = await client.attach(new Recorder());
      expect(running).toEqual([]);
      expect(exits).toMatchObject([{ key: key(1), reason: 'leaseExpired', exitCode: 137 }]);
      client.acknowledge([key(1)]);
      await client.detach();
    }
  });
});

describe('a runner that was killed', () => {
  const isolations = [...new Set([probeIsolation().hasNamespace, false])];

  it.each(isolations)(
    'takes its tasks with it, and a new one goes on (namespace: %s)',
    async (hasNamespace) => {
      const isolation = hasNamespace ? probeIsolation() : { hasNamespace: false, prefix: [] };
      const [client, recorder] = await bench.ready({}, { isolation });
      const path = join(bench.root, 'beats');
      const beat = `while :; do printf x >> ${path}; sleep 0.02; done`;
      client.launch([
        bench.launch(1, shell(`setsid sh -c "${beat}" & sleep 60`)),
        bench.launch(2, ['/bin/true']),
      ]);
      await until(() => marks(path) > 2, 'the task runs');
      await recorder.exitOf(key(2));
      const pid = bench.processes().find(isRunner);
      if (pid === undefined) throw new Error('no runner');
      process.kill(pid, 'SIGKILL');
      await until(() => recorder.lost === 1, 'the loss is told');
      const atLoss = marks(path);
      // Its node and lease are known to the new one without being told again.
      client.launch([bench.launch(1, ['/bin/true'], { key: key(1, 2) })]);
      expect(await recorder.exitOf(key(1, 2))).toMatchObject({ exitCode: 0 });
      expect(marks(path)).toBe(atLoss);
      expect(recorder.lost).toBe(1);
      expect(recorder.exits.has(executionName(key(1)))).toBe(false);
    },
  );

  it('has the next one tell again what was not acknowledged', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, ['/bin/true'])]);
    await recorder.exitOf(key(1));
    const pid = bench.processes().find(isRunner);
    if (pid === undefined) throw new Error('no runner');
    process.kill(pid, 'SIGKILL');
    await until(() => recorder.lost === 1, 'the loss is told');
    await until(() => recorder.exitsTold === 2, 'the exit is told again');
    expect(recorder.exits.get(executionName(key(1)))).toMatchObject({ exitCode: 0 });
  });

  it('leaves the exits that nobody acknowledged, and only those', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([1, 2, 3].map((task) => bench.launch(task, shell(`echo ${task}; exit ${task}`))));
    for (const task of [1, 2, 3]) await recorder.exitOf(key(task));
    client.acknowledge([key(2)]);
    await client.detach();
    bench.signal('SIGKILL');
    await until(() => bench.processes().length === 0, 'all are dead');
    const { exits } = await bench.client().attach(new Recorder());
    expect(exits.map((exit) => exit.exitCode).sort()).toEqual([1, 3]);
    expect(Buffer.from(exits.find((exit) => exit.exitCode === 3)?.stdoutInline ?? []).toString()).toBe('3\n');
  });

  it('is replaced also when it only hangs', async () => {
    const [client] = await bench.ready();
    await client.detach();
    bench.signal('SIGSTOP');
    const stopped = bench.processes();
    await bench.client().attach(new Recorder());
    expect(bench.processes().filter((pid) => stopped.includes(pid))).toEqual([]);
  });
});

describe('a runner', () => {
  it('serves the agent that attached last, and that one alone', async () => {
    const [first, firstRecorder] = await bench.ready();
    first.launch([bench.launch(1, ['sleep', '60'])]);
    await firstRecorder.startOf(key(1));
    const second = bench.client();
    const recorder = new Recorder();
    const state = await second.attach(recorder);
    expect(state.running).toMatchObject([{ key: key(1), node: 'node' }]);
    expect(second.pid).toBe(first.pid);
    first.kill(key(1), 0);
    second.launch([bench.launch(2, ['/bin/true'])]);
    await recorder.exitOf(key(2));
    expect(recorder.exits.has(executionName(key(1)))).toBe(false);
    expect(firstRecorder.exits.size).toBe(0);
    expect(firstRecorder.lost).toBe(0);
  });

  it('tells an exit again to who asks for the same execution again', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, shell('printf x >> ../runs'))]);
    await recorder.exitOf(key(1));
    client.launch([bench.launch(1, shell('printf x >> ../runs'))]);
    await until(() => recorder.exitsTold === 2, 'it is told again');
    expect(marks(join(bench.nodeRoot, 'job/1/runs'))).toBe(1);
  });

  it('closes a connection that talks garbage, and lives on', async () => {
    const [client, recorder] = await bench.ready();
    const garbage = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([0, 0, 0, 1, 0xc1]),
      Buffer.from([0xff, 0xff, 0xff, 0xff]),
      frame(encodePayload({ type: 'hello', version: 'one' })),
      frame(encodePayload([1, 2, 3])),
      frame(Buffer.alloc(100_000, 0x91)),
    ];
    for (const bytes of garbage) {
      const socket = createConnection(socketPlace(bench.directory).path);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.on('error', () => {});
      socket.write(bytes);
      await closed;
    }
    client.launch([bench.launch(1, ['/bin/true'])]);
    await recorder.exitOf(key(1));
    expect(recorder.lost).toBe(0);
  });

  it('takes no command from a connection that did not attach', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, ['sleep', '60'])]);
    await recorder.startOf(key(1));
    const socket = createConnection(socketPlace(bench.directory).path);
    socket.end(frame(encodePayload({ type: 'kill', key: key(1), graceMs: 0 })));
    await new Promise((resolve) => socket.once('close', resolve));
    client.launch([bench.launch(2, ['/bin/true'])]);
    await recorder.exitOf(key(2));
    expect(recorder.exits.size).toBe(1);
  });

  it('tells its version to an agent of another one, and keeps its own agent', async () => {
    const [client, recorder] = await bench.ready();
    const socket = createConnection(socketPlace(bench.directory).path);
    socket.write(frame(encodePayload({ type: 'hello', version: 99 })));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(new FrameReader().push(Buffer.concat(chunks))).toMatchObject([
      { type: 'welcome', version: RUNNER_PROTOCOL_VERSION },
    ]);
    client.launch([bench.launch(1, ['/bin/true'])]);
    await recorder.exitOf(key(1));
  });

  it('ends with all it runs when it is shut down, and leaves no socket', async () => {
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, shell('trap "" TERM; setsid sleep 60 & sleep 60'))]);
    await recorder.startOf(key(1));
    await client.shutdown();
    expect(bench.processes()).toEqual([]);
    expect(readdirSync(bench.directory)).not.toContain('runner.sock');
    const { exits } = await bench.client().attach(new Recorder());
    expect(exits).toMatchObject([{ key: key(1), reason: 'killed' }]);
  });

  it('keeps its directory to itself', async () => {
    await bench.ready();
    expect(statSync(bench.directory).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(bench.directory)) {
      const status = statSync(join(bench.directory, name));
      if (status.isFile()) expect(status.mode & 0o777, name).toBe(0o600);
    }
  });

  it('serves a directory whose path is too long for a socket', async () => {
    await bench.end();
    bench = new Workbench(script, 'x'.repeat(150));
    const [client, recorder] = await bench.ready();
    client.launch([bench.launch(1, ['/bin/true'])]);
    expect(await recorder.exitOf(key(1))).toMatchObject({ exitCode: 0 });
    await client.shutdown();
    const { directory } = socketPlace(bench.directory);
    expect(directory.startsWith(bench.directory)).toBe(false);
    rmSync(directory, { recursive: true });
  });

  it('refuses a socket directory that somebody else could have made', async () => {
    await bench.end();
    bench = new Workbench(script, 'y'.repeat(150));
    const { directory } = socketPlace(bench.directory);
    mkdirSync(directory, { mode: 0o755 });
    await expect(bench.client().attach(new Recorder())).rejects.toMatchObject({ code: 'Forbidden' });
    rmSync(directory, { recursive: true });
  });
});
