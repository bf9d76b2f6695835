/** What `shoal init`, `shoal join`, `shoal agent` and `shoal replay` do. Each loads only what it needs: all of the agent takes a fifth of a second. */
import { statfs } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type DestinationStream, pino } from 'pino';
import type { AgentCommands, AgentFlags, EnterFlags } from '../../src/cli/agent-commands.ts';
import { compileLess } from '../../src/lib/compile-less.ts';
import { ShoalError } from '../../src/lib/errors.ts';
import { LOG_FILE_BYTES_MAX, LOG_FILES_MAX } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { withoutSecrets } from '../../src/lib/secrets.ts';
import { LogFiles } from '../logs/log-files.ts';
import type { Agent } from './agent.ts';
import { type Config, checkAddresses, loadConfig, saveConfig } from './config.ts';
import { type EnterOptions, initMesh } from './enter.ts';
import { type Paths, pathsOf } from './paths.ts';

/** Exit code of a process that may no longer say what is durable (sysexits' EX_IOERR). */
const EXIT_STORE_FAILED = 74;
/** Exit code where two agents have one identity (sysexits' EX_CONFIG): not to be started again by itself. */
const EXIT_IDENTITY_IN_USE = 78;
/** After a full disk the agent comes back once this much is free, and looks this often. */
const RESTART_FREE_BYTES = 64 * 1024 * 1024;
const RESTART_LOOK_MS = 2_000;
const LOG_FILES = { fileBytesMax: LOG_FILE_BYTES_MAX, filesMax: LOG_FILES_MAX };

export const agentCommands: AgentCommands = {
  async init(flags) {
    const config = await initMesh(enterOptions(flags));
    process.stdout.write(
      `Made the mesh ${config.meshId.slice(0, 8)} with this machine, ${config.name}.\nStart it with \`shoal agent\`, then let others in with \`shoal token create\`.\n`,
    );
    return 0;
  },

  async join(flags) {
    const { joinMesh } = await import('./join.ts');
    const config = await joinMesh(enterOptions(flags), flags.token);
    process.stdout.write(
      `Joined the mesh ${config.meshId.slice(0, 8)} as ${config.name}.\nStart with \`shoal agent\`.\n`,
    );
    return 0;
  },

  async agent(flags) {
    compileLess();
    const paths = pathsOf(flags.data);
    await override(paths.config, flags);
    const config = await loadConfig(paths.config);
    const log = logTo([process.stderr, new LogFiles(paths.logs, LOG_FILES)], config);
    for (;;) {
      const exitCode = await live(paths, log);
      if (exitCode !== undefined) return exitCode;
    }
  },

  async *replay(flags) {
    yield* (await import('./replay.ts')).replayDirectory(flags);
  },
};

/** One life of the agent. Undefined where the disk was full and there is room again: the next begins. */
async function live(paths: Paths, log: Log): Promise<number | undefined> {
  let sayFull: () => void = () => undefined;
  const full = new Promise<undefined>((resolve) => {
    sayFull = () => resolve(undefined);
  });
  const { Agent } = await import('./agent.ts');
  const agent = await Agent.start({
    paths,
    runnerScript: programPath('runner.js'),
    launcherScript: programPath('launcher.js'),
    diskThreadScript: programPath('disk-thread.js'),
    log,
    onFatal: (error) => {
      log.error(
        { code: error.code, error: error.message, directory: paths.store, hint: error.hint },
        error.code === 'IdentityInUse'
          ? 'this agent stops, because another one has its identity'
          : 'the store failed: this agent stops, because it no longer knows what is durable',
      );
      if (error.code === 'DiskFull') sayFull();
      else process.exit(error.code === 'IdentityInUse' ? EXIT_IDENTITY_IN_USE : EXIT_STORE_FAILED);
    },
  });
  const signalled = untilSignalled(agent);
  const exitCode = await Promise.race([signalled, full]);
  if (exitCode !== undefined) return exitCode;
  await agent.standBy();
  const late = await Promise.race([signalled, untilThereIsRoom(paths.store, log)]);
  if (late === undefined) await agent.stop('detach');
  return late;
}

async function untilThereIsRoom(directory: string, log: Log): Promise<undefined> {
  for (;;) {
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize >= RESTART_FREE_BYTES) return undefined;
    log.warn({ freeBytes: bavail * bsize, neededBytes: RESTART_FREE_BYTES }, 'waiting for room on the disk');
    await sleep(RESTART_LOOK_MS);
  }
}

/** The bundler puts shared parts one directory below the programs. */
function programPath(name: string): string {
  const { url } = import.meta;
  return join(dirname(fileURLToPath(url)), url.includes('/parts/') ? '..' : '.', name);
}

/** SIGINT ends the tasks too, as whoever types Ctrl-C means it; SIGTERM leaves them to the next life of the agent, as a restart or an upgrade wants. */
function untilSignalled(agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const end = (how: 'detach' | 'shutdown', exitCode: number) => (): void => {
      agent.stop(how).then(
        () => resolve(exitCode),
        () => resolve(1),
      );
    };
    process.once('SIGINT', end('shutdown', 0));
    process.once('SIGTERM', end('detach', 0));
  });
}

function logTo(streams: readonly DestinationStream[], { logLevel: level, name }: Config): Log {
  return pino(
    {
      level,
      base: { machine: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: { streamWrite: withoutSecrets },
    },
    pino.multistream(streams.map((stream) => ({ level, stream }))),
  );
}

function enterOptions(flags: EnterFlags): EnterOptions {
  return {
    paths: pathsOf(flags.data),
    name: flags.name,
    listen: flags.listen,
    announce: flags.announce,
    mdns: flags.mdns,
    api: apiAddressOf(flags.api),
    labels: flags.labels,
    log: pino({ level: 'warn' }, process.stderr),
  };
}

/** Flags of `shoal agent` replace what the configuration says, and stay. */
async function override(file: string, flags: AgentFlags): Promise<void> {
  const config = await loadConfig(file);
  const next: Config = {
    ...config,
    ...(flags.listen.length > 0 ? { listen: [...flags.listen] } : {}),
    ...(flags.announce.length > 0 ? { announce: [...flags.announce] } : {}),
    ...(flags.labels.length > 0 ? { capacity: { ...config.capacity, labels: [...flags.labels] } } : {}),
    ...apiAddressOf(flags.api),
    mdns: config.mdns && flags.mdns,
  };
  checkAddresses(next);
  if (JSON.stringify(next) !== JSON.stringify(config)) await saveConfig(file, next);
}

/** `PORT`, `HOST:PORT` or `[IPv6]:PORT`. */
function apiAddressOf(api: string | undefined): Pick<Config, 'apiPort' | 'apiHost'> | undefined {
  if (api === undefined) return undefined;
  const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+|localhost)):)?(\d{1,5})$/.exec(api);
  const port = Number(match?.[3] ?? Number.NaN);
  const host = (match?.[1] ?? match?.[2] ?? LOOPBACK).replace('localhost', LOOPBACK);
  if (!(port <= 65_535) || isIP(host) === 0)
    throw new ShoalError('InvalidArgument', `--api takes PORT or ADDRESS:PORT, not ${api}.`, {
      flag: '--api',
      value: api,
    });
  return { apiPort: port, apiHost: host };
}

const LOOPBACK = '127.0.0.1';
