/** Which agent a command talks to. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ShoalClient } from '../client/client.ts';
import { type Address, SocketTransport } from '../client/socket-transport.ts';
import { ShoalError } from '../lib/errors.ts';
import type { World } from './world.ts';

export interface ConnectionFlags {
  readonly data?: string;
  readonly endpoint?: string;
}

/** `--data`, `SHOAL_DATA`, or by who runs this: root's machine-wide directory, else the user's own (XDG base directories). */
export function dataDirectory(
  flag: string | undefined,
  world: Pick<World, 'env' | 'home' | 'isRoot' | 'directory'>,
): string {
  const given = flag ?? world.env.SHOAL_DATA;
  if (given !== undefined && given !== '') return path.resolve(world.directory, given);
  if (world.isRoot) return '/var/lib/shoal';
  const xdg = world.env.XDG_DATA_HOME;
  // The XDG specification says that a relative path there is invalid and to be ignored.
  if (xdg !== undefined && path.isAbsolute(xdg)) return path.join(xdg, 'shoal');
  return path.join(world.home, '.local', 'share', 'shoal');
}

/** A flag wins over the environment, and naming an endpoint wins over the local agent's socket. */
export function addressOf(flags: ConnectionFlags, world: World): Address {
  if (flags.endpoint !== undefined && flags.data !== undefined) {
    throw new ShoalError('InvalidArgument', 'Give either --data or --endpoint, not both.', {
      Argument: '--endpoint',
    });
  }
  const endpoint = flags.endpoint ?? (flags.data === undefined ? world.env.SHOAL_ENDPOINT : undefined);
  if (endpoint === undefined || endpoint === '') {
    return { kind: 'socket', path: path.join(dataDirectory(flags.data, world), 'api.sock') };
  }
  const authority = authorityOf(world.env);
  return {
    kind: 'endpoint',
    url: endpointUrl(endpoint),
    credentials: credentials(world.env),
    ...(authority === undefined ? {} : { authority }),
  };
}

export function connect(flags: ConnectionFlags, world: World): ShoalClient {
  return new ShoalClient(new SocketTransport(addressOf(flags, world)));
}

function endpointUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const right = url !== undefined && (url.protocol === 'http:' || url.protocol === 'https:');
  if (right && url.search === '' && url.hash === '' && url.username === '') return url;
  throw new ShoalError('InvalidArgument', `The endpoint "${text}" is not of the form http://HOST:PORT.`, {
    Argument: '--endpoint',
    Value: text,
  });
}

function authorityOf({ SHOAL_CA: file }: World['env']): string | undefined {
  if (file === undefined || file === '') return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ShoalError(
      'InvalidArgument',
      `SHOAL_CA names ${file}, which cannot be read.`,
      { file },
      { cause },
    );
  }
}

function credentials(env: World['env']): { account: string; key: string } | { token: string } {
  const token = env.SHOAL_ACCESS_TOKEN;
  if (token !== undefined && token !== '') return { token };
  const account = env.SHOAL_ACCOUNT;
  const key = env.SHOAL_KEY;
  if (account === undefined || account === '' || key === undefined || key === '') {
    throw new ShoalError(
      'InvalidAuthenticationInfo',
      'An endpoint needs the mesh account in SHOAL_ACCOUNT and its key in SHOAL_KEY, or a token in SHOAL_ACCESS_TOKEN.',
    );
  }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(key)) {
    throw new ShoalError('InvalidAuthenticationInfo', 'SHOAL_KEY is not base64 text.');
  }
  return { account, key };
}
