/** Commands that instances of a task start on each other's nodes: over real sockets, with real shells. */
import { connect, createServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { execute, type Place, serve } from '../../../agent/launcher/launcher.ts';

const KEY = 'a key of this task alone';
let server: Server | undefined;
afterEach(() => {
  server?.close();
});

async function serving(): Promise<Place> {
  server = await serve({ address: '127.0.0.1', port: 0 }, KEY);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('it listens on a port');
  return { address: '127.0.0.1', port: bound.port };
}

async function run(place: Place, command: string, key = KEY) {
  const said = { stdout: '', stderr: '' };
  const code = await execute(place, key, command, {
    stdout: (data) => {
      said.stdout += data.toString();
    },
    stderr: (data) => {
      said.stderr += data.toString();
    },
  });
  return { code, ...said };
}

test('a command runs in a shell over there, and tells what it wrote and how it ended', async () => {
  const place = await serving();
  expect(await run(place, 'echo "out $((1 + 1))"; echo err >&2; exit 7')).toEqual({
    code: 7,
    stdout: 'out 2\n',
    stderr: 'err\n',
  });
});

test('many run at once, and much is written', async () => {
  const place = await serving();
  const all = await Promise.all(
    Array.from({ length: 8 }, (_, n) => run(place, `head -c 300000 /dev/zero | tr "\\0" ${n}`)),
  );
  for (const [n, { code, stdout }] of all.entries())
    expect([code, stdout]).toEqual([0, `${n}`.repeat(300_000)]);
});

test('a command that leaves something running comes to its end all the same', async () => {
  const place = await serving();
  const { code, stdout } = await run(place, 'sleep 30 & echo $!');
  expect(code).toBe(0);
  process.kill(Number(stdout), 'SIGKILL');
});

test('who has another key runs nothing', async () => {
  const place = await serving();
  await expect(run(place, 'echo ran', 'another')).rejects.toThrow('is no launcher of this task');
});

test('what was heard on the wire cannot be said again', async () => {
  const place = await serving();
  const sent: string[] = [];
  const listened = await relay(place, sent);
  expect((await run(listened.place, 'echo once')).stdout).toBe('once\n');
  listened.close();
  const answer = await new Promise<string>((resolve) => {
    let text = '';
    const socket = connect(place.port, place.address, () => void socket.write(sent.join('')));
    socket.on('data', (data) => {
      text += data.toString();
    });
    socket.on('close', () => resolve(text));
  });
  expect(answer).not.toContain('exit');
});

/** Passes everything on, and keeps what goes to the server. */
async function relay(to: Place, sent: string[]): Promise<{ place: Place; close: () => void }> {
  const between = createServer((from) => {
    const onward = connect(to.port, to.address);
    from.on('data', (data) => {
      sent.push(data.toString());
      onward.write(data);
    });
    from.on('end', () => onward.end());
    onward.pipe(from);
  });
  await new Promise<void>((resolve) => {
    between.listen(0, '127.0.0.1', resolve);
  });
  const bound = between.address();
  if (bound === null || typeof bound === 'string') throw new Error('it listens on a port');
  return { place: { address: '127.0.0.1', port: bound.port }, close: () => void between.close() };
}

test('nobody answers: that is said', async () => {
  const place = await serving();
  server?.close();
  await expect(run(place, 'true')).rejects.toThrow('ECONNREFUSED');
});
