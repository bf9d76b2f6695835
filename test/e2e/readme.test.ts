/** The commands of the README's section on use do what it says, as they stand there. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PROGRAM, until } from '../../scripts/local-mesh/local-mesh.ts';
import { shoal } from './shell.ts';

const AGENT_UP_MS_MAX = 20_000;
const README = join(import.meta.dirname, '..', '..', 'README.md');
const agents: ChildProcess[] = [];
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-readme-'));
  await chmod(scratch, 0o711);
  await mkdir(join(scratch, 'bin'));
  await mkdir(join(scratch, 'work'));
  for (const name of ['a', 'b'])
    await writeFile(join(scratch, 'work', `${name}.log`), `${name}\n`.repeat(5000));
  // Two agents of one host cannot both have the port of the program, and a test does not speak to the network.
  const own = '--no-mdns --listen /ip4/127.0.0.1/tcp/0';
  await writeFile(
    join(scratch, 'bin', 'shoal'),
    `#!/bin/sh\ncase $1 in init|join) set -- "$@" ${own};; esac\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`,
    { mode: 0o755 },
  );
});
afterAll(async () => {
  await Promise.all(
    agents.map(
      (agent) =>
        new Promise((resolve) => {
          agent.once('exit', resolve);
          if (agent.exitCode !== null || !agent.kill('SIGINT')) resolve(undefined);
        }),
    ),
  );
  await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
});

/** The lines behind `$ ` of each block of code in the section. */
async function commandsOf(section: string): Promise<readonly (readonly string[])[]> {
  const text = await readFile(README, 'utf8');
  const [, body = ''] = text.split(`\n## ${section}\n`);
  const [until = ''] = body.split('\n## ');
  return [...until.matchAll(/```\n([\s\S]*?)```/g)].map(([, block = '']) =>
    block
      .split('\n')
      .filter((line) => line.startsWith('$ '))
      .map((line) => line.slice(2)),
  );
}

/** As a shell of the machine runs it; an agent is left running in the background. */
async function type(line: string, data: string): Promise<string> {
  const agent = /^shoal agent &/.test(line);
  const child = spawn('bash', ['-c', agent ? `exec ${line.replace(/&.*/, '')}` : line], {
    cwd: join(scratch, 'work'),
    env: {
      ...process.env,
      SHOAL_DATA: data,
      PATH: `${join(scratch, 'bin')}${delimiter}${process.env.PATH}`,
    },
    stdio: ['ignore', agent ? 'ignore' : 'pipe', agent ? 'ignore' : 'pipe'],
  });
  if (agent) {
    agents.push(child);
    await until('the agent answers', AGENT_UP_MS_MAX, async () => {
      expect(child.exitCode, 'the agent runs').toBeNull();
      return (await shoal(['status'], { data })).code === 0;
    });
    return '';
  }
  let said = '';
  let failed = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    failed += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code, `${line}\n${failed}`).toBe(0);
  return said;
}

it('the commands of the README make a mesh of two machines and use it', async () => {
  const [first = [], other = [], any = [], ...more] = await commandsOf('Use');
  expect(more).toEqual([]);
  const [one, two] = [join(scratch, 'one'), join(scratch, 'two')];
  let token = '';
  for (const line of first) token = (await type(line, one)).trim() || token;
  expect(token).toMatch(/^shoal1\.\S+$/);
  for (const line of other) await type(line.replace('TOKEN', token), two);
  const said: string[] = [];
  for (const line of any) said.push(await type(line, two));
  const [squares, , status] = said;
  expect(squares?.split('\n')[11]).toBe('12 squared is 144');
  expect((await readdir(join(scratch, 'work', 'packed'))).sort()).toEqual(['a.log.gz', 'b.log.gz']);
  expect(status).toContain('1 connected');
}, 120_000);
