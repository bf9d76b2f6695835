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

describe('a download', () => {
  let server: Server;
  let origin: string;
  let port: number;
  beforeEach(async () => {
    server = createServer((request, answer) => {
      if (request.url === '/away') answer.writeHead(302, { location: `http://localhost:${port}/file` }).end();
      else if (request.url?.startsWith('/file') === true) answer.end('content');
      else answer.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
    origin = `http://127.0.0.1:${port}`;
  });
  afterEach(() => {
    server.close();
  });

  function fetched(url: string, reach: Reach): Promise<string> {
    const options = { signal: new AbortController().signal, timeoutMs: 5_000, bytesMax: 100, reach };
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

  it('keeps the signature of its URL out of the error', async () => {
    const signed = `${origin}/nothing?sig=secret`;
    await expect(fetched(signed, new Reach([`127.0.0.1:${port}`]))).rejects.toMatchObject({
      code: 'BlobNotFound',
      message: expect.not.stringContaining('secret'),
    });
  });
});
