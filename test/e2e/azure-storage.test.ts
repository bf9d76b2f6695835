/** Resource files from, and output files to, real blob storage: Azurite, as Microsoft publishes it, in a directory of its own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import {
  BlobServiceClient,
  type ContainerClient,
  ContainerSASPermissions,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LocalMesh, until } from '../../scripts/local-mesh/local-mesh.ts';
import type { TaskResource } from '../../src/client/shapes.ts';
import type { OutputFile, ResourceFile, TaskSpec } from '../../src/model/task.ts';
import { azureClient, expectError } from './azure/client.ts';

const AZURITE = 'azurite@3.35.0';
/** The account that every Azurite has; its key is published with it. */
const ACCOUNT = 'devstoreaccount1';
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const STEP_MS_MAX = 30_000;

let scratch: string;
let azurite: ChildProcess | undefined;
let storage: BlobServiceClient;
let mesh: LocalMesh;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'shoal-azurite-'));
  await chmod(scratch, 0o711);
  await writeFile(join(scratch, 'package.json'), '{"private":true}');
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  await promisify(execFile)('npm', ['install', ...flags, AZURITE], { cwd: scratch });
  const port = await freePort();
  azurite = spawn(
    process.execPath,
    [
      join(scratch, 'node_modules/azurite/dist/src/blob/main.js'),
      ...['--blobPort', String(port), '--inMemoryPersistence', '--skipApiVersionCheck', '--disableTelemetry'],
      '--silent',
    ],
    { cwd: scratch, stdio: 'ignore' },
  );
  await until('Azurite listens', STEP_MS_MAX, () => canConnect(port));
  storage = new BlobServiceClient(
    `http://127.0.0.1:${port}/${ACCOUNT}`,
    new StorageSharedKeyCredential(ACCOUNT, KEY),
  );
  mesh = await LocalMesh.start(2, { apiPort: true, config: { allowLocalUrls: [`127.0.0.1:${port}`] } });
  await mesh.alive().client.jobs.add({ id: 'storage', poolInfo: { poolId: 'default' } });
}, 240_000);
afterAll(async () => {
  await mesh?.stop();
  azurite?.kill();
  await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
});

async function container(name: string): Promise<ContainerClient> {
  const client = storage.getContainerClient(name);
  await client.create();
  return client;
}

function sas(client: ContainerClient, permissions: string): Promise<string> {
  return client.generateSasUrl({
    permissions: ContainerSASPermissions.parse(permissions),
    expiresOn: new Date(Date.now() + 3_600_000),
  });
}

async function run(id: string, commandLine: string, rest: Partial<TaskSpec>): Promise<TaskResource> {
  const { client } = mesh.alive();
  await client.tasks.addAll('storage', [{ id, commandLine, ...rest }]);
  let task: TaskResource | undefined;
  await until(`${id} has ended`, STEP_MS_MAX, async () => {
    task = await client.tasks.get('storage', id);
    return task.state === 'completed';
  });
  if (task === undefined) throw new Error('unreachable');
  return task;
}

function outputs(
  containerUrl: string,
  filePattern: string,
  more: Partial<OutputFile['destination']['container']> = {},
): OutputFile[] {
  return [
    {
      filePattern,
      destination: { container: { containerUrl, ...more } },
      uploadOptions: { uploadCondition: 'taskcompletion' },
    },
  ];
}

async function names(client: ContainerClient): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of client.listBlobsFlat()) found.push(name);
  return found.sort();
}

describe('resource files', () => {
  it('come from a container, by prefix, and from the URL of one blob', async () => {
    const source = await container('inputs');
    await source.uploadBlockBlob('set/a.txt', 'alpha', 5);
    await source.uploadBlockBlob('set/ä b#c.txt', 'beta', 4);
    await source.uploadBlockBlob('other.txt', 'gamma', 5);
    const url = await sas(source, 'rl');
    const blob = new URL(url);
    blob.pathname += '/other.txt';
    const resourceFiles: ResourceFile[] = [
      { storageContainerUrl: url, blobPrefix: 'set/', filePath: 'in' },
      { httpUrl: blob.href, filePath: 'one.txt', fileMode: '0640' },
    ];
    const command =
      '/bin/sh -c \'[ "$(cat in/set/a.txt "in/set/ä b#c.txt" one.txt)" = alphabetagamma ] && [ "$(stat -c %a one.txt)" = 640 ]\'';
    expect((await run('inputs', command, { resourceFiles })).executionInfo).toMatchObject({
      exitCode: 0,
      result: 'success',
    });
  });

  it('that cannot be had end the task with the code of the service', async () => {
    const source = await container('refusals');
    const readOnly = await sas(source, 'r');
    const missing = new URL(await sas(source, 'rl'));
    missing.pathname += '/nothing';
    const vanished = await container('vanished-source');
    const gone = await sas(vanished, 'rl');
    await vanished.delete();
    const cases: [string, ResourceFile, string][] = [
      ['may-not-list', { storageContainerUrl: readOnly }, 'BlobAccessDenied'],
      ['no-container', { storageContainerUrl: gone }, 'BlobNotFound'],
      ['no-blob', { httpUrl: missing.href, filePath: 'x' }, 'BlobNotFound'],
      ['loopback', { httpUrl: 'http://127.0.0.1:9/x', filePath: 'x' }, 'BlobAccessDenied'],
    ];
    for (const [id, file, code] of cases) {
      const { executionInfo } = await run(id, '/bin/true', { resourceFiles: [file] });
      expect(executionInfo?.failureInfo, id).toMatchObject({ code });
      expect(JSON.stringify(executionInfo), 'no signature in an error').not.toContain('sig=');
    }
  });
});

describe('output files', () => {
  it('go to a container under their names below the pattern, with the headers that were asked for', async () => {
    const target = await container('outputs');
    const containerUrl = await sas(target, 'w');
    const uploadHeaders = [
      { name: 'x-ms-blob-content-type', value: 'text/markdown' },
      { name: 'x-ms-meta-origin', value: 'shoal' },
    ];
    const command =
      "/bin/sh -c 'mkdir -p out/deep; echo one >out/1.md; echo two >out/deep/2.md; echo no >out/.hidden; echo said'";
    const outputFiles = [
      ...outputs(containerUrl, 'out/**/*', { path: 'results', uploadHeaders }),
      ...outputs(containerUrl, '$AZ_BATCH_TASK_DIR/stdout.txt', { path: 'log.txt' }),
    ];
    expect((await run('outputs', command, { outputFiles })).executionInfo?.result).toBe('success');
    expect(await names(target)).toEqual(['log.txt', 'results/1.md', 'results/deep/2.md']);
    const { contentType, metadata } = await target.getBlobClient('results/1.md').getProperties();
    expect({ contentType, metadata }).toEqual({
      contentType: 'text/markdown',
      metadata: { origin: 'shoal' },
    });
    expect((await target.getBlobClient('log.txt').downloadToBuffer()).toString()).toBe('said\n');
    const { body } = await mesh.alive().client.tasks.openFile('storage', 'outputs', 'fileuploadout.txt');
    const log = await text(body);
    expect(log).toContain('out/1.md');
    expect(log, 'no signature in a log').not.toContain('sig=');
  });

  it('of many megabytes go block by block and arrive whole', async () => {
    const target = await container('large');
    const source = await container('large-source');
    const content = randomBytes(20 * 1024 * 1024 + 17);
    await source.uploadBlockBlob('big', content, content.length);
    await run('large', '/bin/cp in/big big', {
      resourceFiles: [{ storageContainerUrl: await sas(source, 'rl'), filePath: 'in' }],
      outputFiles: outputs(await sas(target, 'cw'), 'big'),
    });
    const arrived = await target.getBlobClient('big').downloadToBuffer();
    expect(digest(arrived)).toBe(digest(content));
    const blocks = await target.getBlockBlobClient('big').getBlockList('committed');
    expect(blocks.committedBlocks?.length).toBe(3);
  });

  it('that cannot be stored fail the task, unless its own failure says more', async () => {
    const target = await container('closed');
    const vanished = await container('vanished');
    const missing = await sas(vanished, 'w');
    await vanished.delete();
    const cases: [string, string, string, string, string][] = [
      ['nowhere', missing, 'a', 'touch a', 'FileUploadContainerNotFound'],
      ['may-not-write', await sas(target, 'r'), 'a', 'touch a', 'FileUploadAccessDenied'],
      ['nothing', await sas(target, 'w'), 'a', 'true', 'FileUploadMissingFile'],
      ['own-failure', missing, 'a', 'exit 3', 'FailureExitCode'],
    ];
    for (const [id, url, pattern, command, code] of cases) {
      const { executionInfo } = await run(id, `/bin/sh -c '${command}'`, {
        outputFiles: outputs(url, pattern),
      });
      expect(executionInfo, id).toMatchObject({ result: 'failure', failureInfo: { code } });
    }
  });
});

describe('logs of a node', () => {
  const startTime = new Date(Date.now() - 3_600_000);

  /** Asked of one agent for a node on the other machine. */
  async function fromAfar(containerUrl: string, range: { startTime: Date; endTime?: Date }) {
    const [asked, owner] = mesh.agents;
    if (asked === undefined || owner === undefined) throw new Error('unreachable');
    const azure = await azureClient(asked);
    const machine = (await mesh.status(owner))?.machine.id;
    let node = '';
    for await (const { id, shoal } of asked.client.pools.nodes('default'))
      if (shoal?.machine === machine) node = id;
    const answer = await azure.computeNode.uploadBatchServiceLogs('default', node, {
      containerUrl,
      ...range,
    });
    return { ...answer, owner: owner.name };
  }

  it('go to a container from the machine of the node, whichever agent is asked', async () => {
    const target = await container('agent-logs');
    const answer = await fromAfar(await sas(target, 'w'), { startTime });
    const { virtualDirectoryName, numberOfFilesUploaded, owner } = answer;
    expect(virtualDirectoryName).toMatch(/^default\/[^/]+\/[0-9a-f-]{36}$/);
    const uploaded = await names(target);
    expect(uploaded).toContain(`${virtualDirectoryName}/agent.log`);
    expect(uploaded).toHaveLength(numberOfFilesUploaded);
    const log = (
      await target.getBlobClient(`${virtualDirectoryName}/agent.log`).downloadToBuffer()
    ).toString();
    const lines = log.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as object)).toContainEqual(
      expect.objectContaining({ machine: owner, msg: 'the agent is up' }),
    );
    expect(log, 'no signature in a log').not.toContain('sig=');
  });

  it('of a time without lines are none', async () => {
    const target = await container('agent-logs-none');
    const range = { startTime: new Date(0), endTime: new Date(1_000) };
    expect(await fromAfar(await sas(target, 'w'), range)).toMatchObject({ numberOfFilesUploaded: 0 });
    expect(await names(target)).toEqual([]);
  });

  it('go into the storage of the mesh too', async () => {
    await mesh.alive().client.blobs.createContainer('logs');
    const { virtualDirectoryName } = await fromAfar('mesh://logs', { startTime });
    const { body } = await mesh.alive().client.blobs.open('logs', `${virtualDirectoryName}/agent.log`);
    expect(await text(body)).toContain('the agent is up');
  });

  it('are refused with what the container said', async () => {
    const target = await container('agent-logs-closed');
    const vanished = await container('agent-logs-vanished');
    const missing = await sas(vanished, 'w');
    await vanished.delete();
    await expectError(fromAfar(await sas(target, 'r'), { startTime }), 403, 'Forbidden');
    await expectError(fromAfar(missing, { startTime }), 404, 'ContainerNotFound');
    await expectError(fromAfar('http://127.0.0.1:9/logs?sig=x', { startTime }), 403, 'Forbidden');
  });
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
