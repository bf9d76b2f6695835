import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchPublicUrl } from '../../../agent/lifecycle/public-url.ts';
import { isRefusedAddress, Reach } from '../../../agent/lifecycle/reach.ts';

describe('an address', () => {
  it.each([
    '127.0.0.1',
    '127.8.9.1',
    '0.0.0.0',
    '169.254.169.254',
    '::1',
    '::',
    'fe80::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '::127.0.0.1',
    '::ffff:169.254.169.254',
    '0:0:0:0:0:ffff:7f00:1',
  ])('of the machine itself is refused: %s', (address) => {
    expect(isRefusedAddress(address)).toBe(true);
  });

  it.each(['192.0.2.7', '10.0.0.1', '8.8.8.8', '2001:db8::1', 'fd00::1'])(
    'of another is not: %s',
    (address) => {
      expect(isRefusedAddress(address)).toBe(false);
    },
  );
});

it.each([
  'http://127.1/x',
  'http://2130706433/x',
  'http://0x7f.0.0.1/x',
  'http://017700000001/x',
  'http://0/x',
  'http://[::1]:80/x',
  'http://[::ffff:127.0.0.1]/x',
  'http://[0:0:0:0:0:0:0:1]/x',
  'http://127.0.0.1\u3002/x',
  'http://①②⑦.0.0.1/x',
  'https://169.254.169.254/metadata',
])('a URL that means the machine itself is refused however it is written: %s', (url) => {
  expect(() => new Reach().check(new URL(url))).toThrowError(expect.objectContaining({ code: 'Forbidden' }));
});

describe('a download', () => {
  let server: Server;
  let origin: string;
  let port: number;
  let leadsTo: ReadonlyMap<string, string>;
  beforeEach(async () => {
    server = createServer((request, answer) => {
      const location = leadsTo.get(request.url ?? '');
      if (location !== undefined) answer.writeHead(302, { location }).end();
      else if (request.url === '/endless') answer.write('x'.repeat(200));
      else if (request.url === '/silent') answer.write('x');
      else if (request.url === '/short') {
        answer.writeHead(200, { 'content-length': '50' }).write('x');
        answer.destroy();
      } else if (request.url?.startsWith('/file') === true) answer.end('content');
      else answer.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
    origin = `http://127.0.0.1:${port}`;
    leadsTo = new Map([
      ['/away', `http://localhost:${port}/file`],
      ['/elsewhere', 'http://127.0.0.1:9/file?sig=secret'],
      ['/metadata', 'http://169.254.169.254/latest'],
      ['/disk', 'file:///etc/passwd?sig=secret'],
      ['/nonsense', 'http://?sig=secret'],
      ['/round', '/round'],
    ]);
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  function fetched(url: string, reach: Reach): Promise<string> {
    const options = { signal: new AbortController().signal, timeoutMs: 1_000, bytesMax: 100, reach };
    return fetchPublicUrl(url, options).then(text);
  }

  it('from the machine itself is refused, by address and by name', async () => {
    await expect(fetched(`${origin}/file`, new Reach())).rejects.toMatchObject({ code: 'Forbidden' });
    await expect(fetched(`http://localhost:${port}/file`, new Reach())).rejects.toMatchObject({
      code: 'Forbidden',
    });
  });

  it('from an address that the configuration allows is not, and no other port is', async () => {
    expect(await fetched(`${origin}/file`, new Reach([`127.0.0.1:${port}`]))).toBe('content');
    await expect(fetched(`${origin}/file`, new Reach(['127.0.0.1:1']))).rejects.toMatchObject({
      code: 'Forbidden',
    });
  });

  it('that is redirected to the machine itself is refused there', async () => {
    const onlyByAddress = new Reach([`127.0.0.1:${port}`]);
    // The name leads to ::1 as well on most hosts, which is not allowed; where it does not, the redirect is harmless.
    const outcome = await fetched(`${origin}/away`, onlyByAddress).catch((error: unknown) => error);
    expect(outcome === 'content' || (outcome as { code?: string }).code === 'Forbidden').toBe(true);
  });

  it.each([
    ['/elsewhere', 'Forbidden'],
    ['/metadata', 'Forbidden'],
    ['/disk', 'InvalidPropertyValue'],
    ['/nonsense', 'InvalidPropertyValue'],
    ['/round', 'InternalError'],
  ])('that %s redirects is refused, and no signature is told', async (path, code) => {
    await expect(fetched(`${origin}${path}`, new Reach([`127.0.0.1:${port}`]))).rejects.toMatchObject({
      code,
      message: expect.not.stringContaining('secret'),
    });
  });

  it.each([
    ['/endless', 'TooLarge'],
    ['/silent', 'OperationTimedOut'],
  ])('of %s ends', async (path, code) => {
    await expect(fetched(`${origin}${path}`, new Reach([`127.0.0.1:${port}`]))).rejects.toMatchObject({
      code,
    });
  });

  it('that ends before its announced length is no file', async () => {
    await expect(fetched(`${origin}/short`, new Reach([`127.0.0.1:${port}`]))).rejects.toThrow();
  });

  it('keeps the signature of its URL out of the error', async () => {
    const signed = `${origin}/nothing?sig=secret`;
    await expect(fetched(signed, new Reach([`127.0.0.1:${port}`]))).rejects.toMatchObject({
      code: 'BlobNotFound',
      message: expect.not.stringContaining('secret'),
    });
  });
});
