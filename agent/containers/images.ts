/** Images of container tasks on this machine: fetched once, before the first task that needs them, or with their pool. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../../src/lib/errors.ts';
import {
  CONTAINER_PROBE_TIMEOUT_MS,
  CONTAINER_PULL_TIMEOUT_MS,
  CONTAINER_PULLS_MAX,
} from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import {
  type ContainerConfiguration,
  type ContainerRegistry,
  DEFAULT_REGISTRY,
  registryFor,
} from '../../src/model/container.ts';
import { unlessAborted } from '../files/unless-aborted.ts';
import type { ContainerEngine } from '../runner/interface.ts';
import { runProgram } from './run-program.ts';

export interface ImagesOptions {
  /** Private: accounts of registries are there while an image is fetched. */
  readonly directory: string;
  readonly log: Log;
}

export class Images {
  readonly #options: ImagesOptions;
  /** By image and account. */
  readonly #bringing = new Map<string, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #fetching = 0;

  constructor(options: ImagesOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the machine has the image; one that is there is not asked for again. What others wait for goes on when
   * `signal` is aborted.
   *
   * @throws ShoalError ContainerImagePullFailed with what the engine said.
   */
  bring(
    engine: ContainerEngine,
    image: string,
    registry: ContainerRegistry | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const key = JSON.stringify([image, registry?.username, registry?.password]);
    const present = this.#bringing.get(key);
    const bringing =
      present ?? this.#bring(engine, image, registry).finally(() => this.#bringing.delete(key));
    this.#bringing.set(key, bringing);
    return unlessAborted(bringing, signal);
  }

  /** The images that a pool names, one after another. Throws as `bring` does. */
  async bringAhead(
    engine: ContainerEngine,
    { images, registries }: ContainerConfiguration,
    signal: AbortSignal,
  ): Promise<void> {
    for (const image of images) {
      await this.bring(engine, image, registryFor(image, undefined, registries), signal);
    }
  }

  async #bring(
    engine: ContainerEngine,
    image: string,
    registry: ContainerRegistry | undefined,
  ): Promise<void> {
    if (await isPresent(engine, image)) return;
    await this.#turn();
    try {
      await this.#pull(engine, image, registry);
    } finally {
      this.#fetching -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    while (this.#fetching >= CONTAINER_PULLS_MAX)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#fetching += 1;
  }

  async #pull(
    engine: ContainerEngine,
    image: string,
    registry: ContainerRegistry | undefined,
  ): Promise<void> {
    const { directory, log } = this.#options;
    const account = accountOf(registry);
    const place = join(directory, `registry-${randomBytes(8).toString('hex')}`);
    try {
      if (account !== undefined) {
        await mkdir(place, { recursive: true, mode: 0o700 });
        await writeFile(join(place, 'config.json'), account, { mode: 0o600 });
      }
      const { code, stderr } = await runProgram(
        engine.program,
        pullArguments(engine, image, account && place),
        { environment: engine.environment, timeoutMs: CONTAINER_PULL_TIMEOUT_MS },
      );
      if (code === 0) {
        log.info({ image }, 'a container image was fetched');
        return;
      }
      const said = lastWords(stderr);
      throw new ShoalError(
        'ContainerImagePullFailed',
        `The image ${image} could not be fetched by ${engine.kind}: ${said === '' ? 'it took too long' : said}`,
        { image },
      );
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  }
}

/** Engines say why at the end, behind what they tried. */
function lastWords(stderr: string): string {
  return stderr.trim().split('\n').at(-1) ?? '';
}

async function isPresent({ kind, program, environment }: ContainerEngine, image: string): Promise<boolean> {
  const words = kind === 'podman' ? ['image', 'exists', image] : ['image', 'inspect', '--format=.', image];
  const { code } = await runProgram(program, words, { environment, timeoutMs: CONTAINER_PROBE_TIMEOUT_MS });
  return code === 0;
}

/** The account is in a file that only we can read: an argument or a variable could be seen by others. */
function pullArguments(
  { kind }: ContainerEngine,
  image: string,
  place: string | undefined,
): readonly string[] {
  if (kind === 'podman')
    return [
      'pull',
      '--quiet',
      ...(place === undefined ? [] : [`--authfile=${join(place, 'config.json')}`]),
      image,
    ];
  return [...(place === undefined ? [] : [`--config=${place}`]), 'pull', '--quiet', image];
}

/** Docker's `config.json`, which podman reads as well. */
function accountOf(registry: ContainerRegistry | undefined): string | undefined {
  if (registry?.username === undefined) return undefined;
  const { username, password = '', registryServer = DEFAULT_REGISTRY } = registry;
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const servers =
    registryServer === DEFAULT_REGISTRY
      ? [DEFAULT_REGISTRY, 'https://index.docker.io/v1/']
      : [registryServer];
  return JSON.stringify({ auths: Object.fromEntries(servers.map((server) => [server, { auth }])) });
}
