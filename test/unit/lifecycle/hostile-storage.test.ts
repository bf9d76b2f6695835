/** A blob service that means harm: it speaks Azure's protocol as far as it has to. */
import { mkdir, open, readdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SafeDirectory } from '../../../agent/files/safe-path.ts';
import { listBlobs, uploadFile } from '../../../agent/lifecycle/azure-container.ts';
import { bringInputs } from '../../../agent/lifecycle/inputs.ts';
import { Reach } from '../../../agent/lifecycle/reach.ts';
import { CONTAINER_ANSWER_BYTES_MAX, CONTAINER_PAGES_MAX } from '../../../src/lib/limits.ts';
import { temporaryDirectory } from '../files/temporary-directory.ts';

const NEVER = new AbortController().signal;
const servers: Server[] = [];
let asked: string[];

beforeEach(() => {
  asked = [];
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer((request, answer) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    listener(request, answer);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function page(names: readonly string[], next = ''): string {
  const blobs = names.map(
    (name) => `<Blob><Name>${name}</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>`,
  );
  return `<?xml version="1.0"?><EnumerationResults><Blobs>${blobs.join('')}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`;
}

const urlOf = (host: string): string => `http://${host}/container?sv=2022-11-02&sig=secret`;

async function emptyFile(): Promise<string> {
  const path = join(await temporaryDirectory(), 'file');
  await writeFile(path, 'content');
  return path;
}

describe('a list of blobs', () => {
  it('without end is given up', async () => {
    const host = await serve((_, answer) => {
      answer.setHeader('content-type', 'application/xml').end(page([], 'more'));
    });
    await expect(listBlobs(urlOf(host), '', new Reach([host]), NEVER)).rejects.toMatchObject({
      code: 'TooLarge',
      message: expect.not.stringContaining('secret'),
    });
    expect(asked.length).toBeLessThanOrEqual(CONTAINER_PAGES_MAX + 1);
  });

  it('whose answer has no end is not held in memory', async () => {
    let sentBytes = 0;
    const piece = Buffer.alloc(1024 * 1024, ' ');
    const host = await serve((_, answer) => {
      answer.setHeader('content-type', 'application/xml');
      const more = (): void => {
        for (;;) {
          if (answer.destroyed) return;
          sentBytes += piece.length;
          if (!answer.write(piece)) break;
        }
        answer.once('drain', more);
      };
      more();
    });
    await expect(listBlobs(urlOf(host), '', new Reach([host]), NEVER)).rejects.toMatchObject({
      code: 'TooLarge',
    });
    // Each attempt is cut soon behind the bound; what is in the buffers of the connection comes on top.
    expect(sentBytes / asked.length).toBeLessThan(2 * CONTAINER_ANSWER_BYTES_MAX);
  });

  it.each(['../outside', 'a/../../outside', '/outside', 'a\\b', 'a//b', 'out\nside', 'x'.repeat(300)])(
    'with the name %j brings nothing to anywhere',
    async (name) => {
      const root = await temporaryDirectory();
      await mkdir(join(root, 'wd'));
      const host = await serve((request, answer) => {
        const isList = request.url?.includes('comp=list') === true;
        if (isList) answer.setHeader('content-type', 'application/xml').end(page([name]));
        else answer.end('x');
      });
      const target = await SafeDirectory.open(join(root, 'wd'));
      const files = { list: never, fetch: never, openContent: never };
      const sources = { files, reach: new Reach([host]), owner: undefined };
      const resources = [{ storageContainerUrl: urlOf(host) }];
      try {
        await expect(bringInputs(sources, resources, target, NEVER)).rejects.toMatchObject({
          code: expect.stringMatching(/^(?:InvalidPropertyValue|FileNotFound|Forbidden)$/),
        });
      } finally {
        await target.close();
      }
      expect(await readdir(root, { recursive: true })).toEqual(['wd']);
    },
  );
});

async function never(): Promise<never> {
  throw new Error('the storage of the mesh was asked');
}

describe('a redirect of a blob service', () => {
  it.each([301, 302, 307, 308])('with %i is not followed', async (status) => {
    let reached = 0;
    const other = await serve((_, answer) => {
      reached += 1;
      answer.end(page(['a']));
    });
    const host = await serve((_, answer) => {
      answer.writeHead(status, { location: `http://${other}/container?sig=secret` }).end();
    });
    // The other server may be asked too: what keeps it from being is that nobody goes where he is sent.
    const reach = new Reach([host, other]);
    await expect(listBlobs(urlOf(host), '', reach, NEVER)).rejects.toMatchObject({
      message: expect.not.stringContaining('secret'),
    });
    const file = await open(await emptyFile(), 'r');
    try {
      await expect(uploadFile(file, urlOf(host), 'blob', [], reach)).rejects.toMatchObject({
        message: expect.not.stringContaining('secret'),
      });
    } finally {
      await file.close();
    }
    expect(reached).toBe(0);
  });
});
