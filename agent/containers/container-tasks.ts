/** What containers of tasks need before they are launched: an engine, an image, checked options. */
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import type { Log } from '../../src/lib/log.ts';
import {
  type ContainerConfiguration,
  type ContainerSettings,
  containerConfigurationOf,
  readRunOptions,
  registryFor,
} from '../../src/model/container.ts';
import { unlessAborted } from '../files/unless-aborted.ts';
import type { ContainerLaunch } from '../runner/interface.ts';
import { type EngineChoice, type FoundEngine, findEngine } from './engine.ts';
import { Images } from './images.ts';

export interface ContainerTasksOptions {
  /** Private. */
  readonly directory: string;
  /** The owner's; undefined: the first engine that works. */
  readonly choice: EngineChoice | undefined;
  /** What a pool's specification has under this name, as far as this machine knows it. */
  readonly virtualMachineConfigurationOf: (pool: string) => unknown;
  readonly log: Log;
}

export const NO_ENGINE =
  'No container engine works on this machine: install podman or docker (`apt-get install podman`) and restart its agent.';

export class ContainerTasks {
  readonly #options: ContainerTasksOptions;
  readonly #images: Images;
  readonly #aborter = new AbortController();
  /** Pools whose images were asked for, with what they were. */
  readonly #asked = new Map<string, string>();
  #engine: Promise<FoundEngine | undefined> | undefined;
  #known: FoundEngine | undefined | 'asking' = 'asking';

  constructor(options: ContainerTasksOptions) {
    this.#options = options;
    this.#images = new Images({ directory: options.directory, log: options.log });
  }

  /** Asks the machine at the first call. */
  engine(): Promise<FoundEngine | undefined> {
    this.#engine ??= findEngine(this.#options.choice, this.#options.log).then((engine) => {
      this.#known = engine;
      return engine;
    });
    return this.#engine;
  }

  /** `before` as long as the machine is being asked. */
  engineName(before: string | undefined): string | undefined {
    if (this.#known === 'asking') return before;
    return this.#known === undefined ? undefined : `${this.#known.kind} ${this.#known.version}`;
  }

  /**
   * @throws ShoalError TaskSchedulingConstraintFailed where no engine works here, ContainerImagePullFailed, or
   * InvalidPropertyValue for options that a task may not give.
   */
  async launchOf(pool: string, settings: ContainerSettings, signal: AbortSignal): Promise<ContainerLaunch> {
    const { imageName, containerRunOptions, registry, workingDirectory } = settings;
    const options = readRunOptions(containerRunOptions ?? '');
    const engine = await unlessAborted(this.engine(), signal);
    if (engine === undefined) throw new ShoalError('TaskSchedulingConstraintFailed', NO_ENGINE);
    const account = registryFor(imageName, registry, this.#configurationOf(pool).registries);
    await this.#images.bring(engine, imageName, account, signal);
    const { kind, program, environment, user, isRootless } = engine;
    return {
      engine: { kind, program, environment, user, isRootless },
      image: imageName,
      options,
      entersWorkingDirectory: workingDirectory !== 'containerimagedefault',
    };
  }

  /** Pools that have nodes here: their images are fetched ahead of their tasks. */
  setPools(pools: Iterable<string>): void {
    const present = new Set(pools);
    for (const pool of this.#asked.keys()) if (!present.has(pool)) this.#asked.delete(pool);
    for (const pool of present) {
      const configuration = this.#configurationOf(pool);
      const wanted = configuration.images.join(' ');
      if (wanted === '' || this.#asked.get(pool) === wanted) continue;
      this.#asked.set(pool, wanted);
      void this.#bringAhead(pool, configuration);
    }
  }

  stop(): void {
    this.#aborter.abort(new ShoalError('ServerBusy', 'This agent stops.'));
  }

  #configurationOf(pool: string): ContainerConfiguration {
    return containerConfigurationOf(this.#options.virtualMachineConfigurationOf(pool));
  }

  async #bringAhead(pool: string, configuration: ContainerConfiguration): Promise<void> {
    const engine = await this.engine();
    if (engine === undefined) return;
    try {
      await this.#images.bringAhead(engine, configuration, this.#aborter.signal);
    } catch (error) {
      // Tasks ask again, and say so where it fails once more.
      this.#options.log.warn(
        { pool, error: asShoalError(error).message },
        'an image of a pool could not be had',
      );
    }
  }
}
