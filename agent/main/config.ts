/** `config.json`: what `init` and `join` wrote down, and what a person may change. Unknown keys and wrong values are refused by name. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { ShoalError } from '../../src/lib/errors.ts';
import { isTcpAddress } from '../../src/mesh/addresses.ts';

export const Config = Type.Object(
  {
    /** Names the mesh; made by `init`, carried by tokens. */
    meshId: Type.String({ minLength: 8, maxLength: 64, pattern: '^[a-z0-9]+$' }),
    /** This machine's name in the mesh. */
    name: Type.String({ minLength: 1, maxLength: 63, pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }),
    /** Multiaddrs to listen on; empty for a machine that only dials out. */
    listen: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 16 }),
    /** Multiaddrs to tell others, where they differ from those listened on. */
    announce: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 16 }),
    /** Find members on the local network. */
    mdns: Type.Boolean(),
    /** TCP port of the HTTP API; 0 picks one; null for none. The unix socket is always there. */
    apiPort: Type.Union([Type.Integer({ minimum: 0, maximum: 65_535 }), Type.Null()]),
    /** Address it listens on; 127.0.0.1 where absent. Any other than loopback is served by HTTPS alone. */
    apiHost: Type.Optional(Type.String({ pattern: '^[0-9A-Fa-f.:]{2,45}$' })),
    /** What this machine offers, where it differs from what was found. */
    capacity: Type.Object(
      {
        cores: Type.Optional(Type.Integer({ minimum: 1, maximum: 4096 })),
        memoryBytes: Type.Optional(Type.Integer({ minimum: 1 })),
        gpus: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
        labels: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 63 }), { maxItems: 64 })),
      },
      { additionalProperties: false },
    ),
    /** `address:port` of servers on this machine that tasks' files may come from and go to, though it is the machine's own. */
    allowLocalUrls: Type.Optional(
      Type.Array(Type.String({ maxLength: 64, pattern: '^(\\d+(\\.\\d+){3}|\\[[0-9a-f:]+\\]):\\d{1,5}$' }), {
        maxItems: 64,
      }),
    ),
    /** Engine of container tasks; where absent, the first that works. */
    containerEngine: Type.Optional(Type.Enum(['podman', 'docker', 'none'])),
    /** Addresses of members, from the token; the mesh's own list takes over once it is there. */
    members: Type.Array(
      Type.Object(
        {
          peer: Type.String({ maxLength: 128 }),
          addresses: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 32 }),
        },
        { additionalProperties: false },
      ),
      { maxItems: 1024 },
    ),
    /** Only on the machine that made the mesh, until its first start. */
    founding: Type.Optional(
      Type.Object(
        { accountName: Type.String({ maxLength: 64 }), accountKey: Type.String({ maxLength: 128 }) },
        { additionalProperties: false },
      ),
    ),
    logLevel: Type.Enum(['debug', 'info', 'warn', 'error']),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

const checker = Compile(Config);

/** Throws NotInitialized where there is none, InvalidArgument naming the key where it is wrong. */
export async function loadConfig(file: string): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new ShoalError('NotInitialized', `There is no configuration at ${file}.`, { file }, { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ShoalError(
      'InvalidArgument',
      `The configuration ${file} is not JSON: ${(cause as Error).message}`,
      { file },
      { cause },
    );
  }
  if (checker.Check(value)) {
    checkAddresses(value);
    return value;
  }
  const first = checker.Errors(value)[0];
  const key = first?.instancePath.slice(1).replaceAll('/', '.') || 'the top level';
  throw new ShoalError(
    'InvalidArgument',
    `The configuration ${file} is wrong at ${key}: ${first?.message ?? 'unknown'}.`,
    { file, key },
  );
}

/** Throws InvalidArgument for a text that is no address, before anything is written down or listened on. */
export function checkAddresses({ listen, announce }: Pick<Config, 'listen' | 'announce'>): void {
  for (const [key, addresses] of Object.entries({ listen, announce })) {
    const wrong = addresses.find((address) => !isTcpAddress(address));
    if (wrong !== undefined)
      throw new ShoalError(
        'InvalidArgument',
        `An address to ${key} is of the form /ip4/192.0.2.7/tcp/7411, not ${wrong}.`,
        { key, value: wrong },
      );
  }
}

/** Written beside and renamed: a crash leaves the old one or the new one. */
export async function saveConfig(file: string, config: Config): Promise<void> {
  const next = `${file}.next`;
  await writeFile(next, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(next, file);
}
