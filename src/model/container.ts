/**
 * Container tasks (Azure Batch's TaskContainerSettings and ContainerConfiguration): which image, from where, with which
 * options of the engine. A machine that has an engine carries a label, by which such tasks find it.
 */
import Type, { type Static } from 'typebox';
import { ShoalError } from '../lib/errors.ts';
import { CONTAINER_OPTIONS_LENGTH_MAX } from '../lib/limits.ts';
import { parseCommandLine } from './parse-command-line.ts';
import { Echoed } from './schema.ts';

const strict = { additionalProperties: false } as const;

/** Of a machine on which a container engine works; also good as a required label of a pool. */
export const CONTAINER_LABEL = 'container';

/** Never begins with a dash: it stands among the engine's arguments. */
const ImageName = Type.String({
  minLength: 1,
  maxLength: 512,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._:/@-]*$',
});

export const ContainerRegistry = Type.Object(
  {
    username: Type.Optional(Type.String({ maxLength: 256, pattern: '^[^:\\u0000-\\u001f]*$' })),
    password: Type.Optional(Type.String({ maxLength: 16_384 })),
    /** Default `docker.io`. */
    registryServer: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, pattern: '^[A-Za-z0-9.:/-]+$' }),
    ),
    identityReference: Type.Optional(Echoed),
  },
  strict,
);
export type ContainerRegistry = Static<typeof ContainerRegistry>;

export const ContainerSettings = Type.Object(
  {
    imageName: ImageName,
    containerRunOptions: Type.Optional(Type.String({ maxLength: CONTAINER_OPTIONS_LENGTH_MAX })),
    registry: Type.Optional(ContainerRegistry),
    /** Default `taskWorkingDirectory`. */
    workingDirectory: Type.Optional(Type.Enum(['taskworkingdirectory', 'containerimagedefault'])),
  },
  strict,
);
export type ContainerSettings = Static<typeof ContainerSettings>;

export const DEFAULT_REGISTRY = 'docker.io';

/**
 * Options of `run` that a task may give, with what their value must look like. The machine is its owner's: what would
 * reach beyond the container (`--privileged`, `--volume`, `--device`, `--pid=host`, `--user`, `--cap-add`,
 * `--security-opt` …) is not among them. `null`: without a value.
 */
const RUN_OPTIONS: ReadonlyMap<string, RegExp | null> = new Map([
  ['--rm', null],
  ['--init', null],
  ['--read-only', null],
  ['--env', /^[^=]+=/],
  ['--workdir', /^\//],
  ['--entrypoint', /^/],
  ['--hostname', /^[A-Za-z0-9.-]+$/],
  ['--network', /^(none|host|bridge|private|slirp4netns|pasta)$/],
  ['--gpus', /^[A-Za-z0-9=,"-]+$/],
  ['--shm-size', /^\d+[bkmg]?$/i],
  ['--memory', /^\d+[bkmg]?$/i],
  ['--memory-swap', /^-?\d+[bkmg]?$/i],
  ['--cpus', /^\d+(\.\d+)?$/],
  ['--cpu-shares', /^\d+$/],
  ['--cpuset-cpus', /^[\d,-]+$/],
  ['--pids-limit', /^-?\d+$/],
  ['--ulimit', /^[a-z]+=-?\d+(:-?\d+)?$/],
  ['--ipc', /^(none|private)$/],
  ['--tmpfs', /^\/[^:]*(:[A-Za-z0-9=,]*)?$/],
  ['--cap-drop', /^[A-Za-z_]+$/],
  ['--label', /^/],
  ['--platform', /^[a-z0-9/]+$/],
  ['--dns', /^[0-9a-fA-F.:]+$/],
  ['--add-host', /^[A-Za-z0-9.-]+:[0-9a-fA-F.:]+$/],
]);
const SHORT_OPTIONS: ReadonlyMap<string, string> = new Map([
  ['-e', '--env'],
  ['-w', '--workdir'],
  ['-h', '--hostname'],
  ['-m', '--memory'],
  ['-c', '--cpu-shares'],
  ['-l', '--label'],
  ['--net', '--network'],
]);

/**
 * `containerRunOptions` as arguments of the engine, each option with its value in one word.
 *
 * @throws ShoalError InvalidPropertyValue naming the option that is not allowed, or whose value is not.
 */
export function readRunOptions(text: string): readonly string[] {
  if (text.trim() === '') return [];
  const words = parseCommandLine(text);
  const options: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const equals = word.indexOf('=');
    const given = equals < 0 ? word : word.slice(0, equals);
    const name = SHORT_OPTIONS.get(given) ?? given;
    const rule = RUN_OPTIONS.get(name);
    if (rule === undefined) throw refused(`the option ${given} is not among those that a task may give`);
    if (rule === null) {
      if (equals >= 0) throw refused(`the option ${given} takes no value`);
      options.push(name);
      continue;
    }
    if (equals < 0) at += 1;
    const value = equals < 0 ? words[at] : word.slice(equals + 1);
    if (value === undefined || !rule.test(value))
      throw refused(`the option ${given} cannot have the value ${JSON.stringify(value ?? '')}`);
    options.push(`${name}=${value}`);
  }
  // Every container is removed at its end, whoever asks for it.
  return options.filter((option) => option !== '--rm');
}

function refused(reason: string): ShoalError {
  return new ShoalError('InvalidPropertyValue', `The container's run options are not valid: ${reason}.`, {
    PropertyName: 'containerSettings/containerRunOptions',
    Reason: reason,
  });
}

/** What a pool's `virtualMachineConfiguration` says of containers, as far as it can be read. */
export interface ContainerConfiguration {
  readonly images: readonly string[];
  readonly registries: readonly ContainerRegistry[];
}

const NOTHING: ContainerConfiguration = { images: [], registries: [] };

/** The rest of that property means nothing here and has any form, so this part is read with care. */
export function containerConfigurationOf(virtualMachineConfiguration: unknown): ContainerConfiguration {
  const configuration = field(virtualMachineConfiguration, 'containerConfiguration');
  const images = list(field(configuration, 'containerImageNames'));
  const registries = list(field(configuration, 'containerRegistries'));
  if (images.length + registries.length === 0) return NOTHING;
  return {
    images: images.filter(isImageName),
    registries: registries.map(readRegistry).filter((registry) => registry !== undefined),
  };
}

function readRegistry(value: unknown): ContainerRegistry | undefined {
  const [username, password, registryServer] = [
    field(value, 'username'),
    field(value, 'password'),
    field(value, 'registryServer'),
  ];
  if (typeof username !== 'string' || typeof password !== 'string') return undefined;
  return { username, password, ...(typeof registryServer === 'string' && { registryServer }) };
}

function isImageName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 512 && /^[A-Za-z0-9][A-Za-z0-9._:/@-]*$/.test(value);
}

function field(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The server part of an image's name, as engines read it: it has a dot, a colon, or is `localhost`. */
export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : DEFAULT_REGISTRY;
}

/** Which account an image is fetched with: the task's own, else the one that its pool has for the image's server. */
export function registryFor(
  image: string,
  own: ContainerRegistry | undefined,
  ofPool: readonly ContainerRegistry[],
): ContainerRegistry | undefined {
  if (own?.username !== undefined) return own;
  const server = registryOf(image);
  return ofPool.find(({ registryServer = DEFAULT_REGISTRY }) => serverName(registryServer) === server);
}

function serverName(server: string): string {
  return server.split('/')[0] ?? server;
}

/** As it is shown again: Azure Batch never tells the password of a registry. */
export function withoutPasswords(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPasswords);
  if (!isObject(value)) return value;
  const { password: _, ...shown } = value;
  return Object.fromEntries(Object.entries(shown).map(([name, member]) => [name, withoutPasswords(member)]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
