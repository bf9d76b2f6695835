/**
 * Containers of Azure Blob Storage, or of whatever speaks like it (Azurite), by URLs that carry their own permission (a
 * shared access signature). The client library is loaded when the first task asks for it: most agents never do.
 */

import type { FileHandle } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { ShoalError } from '../../src/lib/errors.ts';
import {
  CONTAINER_ANSWER_BYTES_MAX,
  CONTAINER_PAGES_MAX,
  INPUT_FILES_MAX,
  UPLOAD_BLOCK_BYTES,
  UPLOAD_BLOCKS_AT_ONCE,
} from '../../src/lib/limits.ts';
import type { OutputFile } from '../../src/model/task.ts';
import type { Reach } from './reach.ts';

type UploadHeaders = NonNullable<OutputFile['destination']['container']['uploadHeaders']>;

/** The address of one blob, with the container's own permission. */
export function blobUrl(containerUrl: string, name: string): string {
  const url = new URL(containerUrl);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${name.split('/').map(encodeURIComponent).join('/')}`;
  return url.href;
}

/** Without the signature: what may stand in an error or a log. */
export function publicPart(url: string): string {
  return url.replace(/\?.*$/s, '');
}

/**
 * Names of the blobs that begin with `prefix`, in their order. Throws ContainerNotFound, Forbidden, OperationTimedOut,
 * TooLarge above `INPUT_FILES_MAX`, or InternalError.
 */
export async function listBlobs(
  containerUrl: string,
  prefix: string,
  reach: Reach,
  signal: AbortSignal,
): Promise<string[]> {
  const container = await openContainer(containerUrl, reach, []);
  const names: string[] = [];
  let pages = 0;
  try {
    for await (const { segment } of container.listBlobsFlat({ prefix, abortSignal: signal }).byPage()) {
      for (const { name } of segment.blobItems) names.push(name);
      pages += 1;
      if (names.length > INPUT_FILES_MAX || pages > CONTAINER_PAGES_MAX)
        throw new ShoalError(
          'TooLarge',
          `${publicPart(containerUrl)} has more than ${INPUT_FILES_MAX} blobs that begin with "${prefix}", or no end of them.`,
        );
    }
  } catch (error) {
    signal.throwIfAborted();
    throw coded(error, containerUrl);
  }
  return names;
}

/** Puts a file there in one request where it is small, else block by block. Throws as `listBlobs` does. */
export async function uploadFile(
  file: FileHandle,
  containerUrl: string,
  name: string,
  headers: UploadHeaders,
  reach: Reach,
  signal?: AbortSignal,
): Promise<void> {
  const options = signal === undefined ? {} : { abortSignal: signal };
  const container = await openContainer(containerUrl, reach, headers);
  const blob: BlockBlobClient = container.getBlockBlobClient(name);
  try {
    const { size } = await file.stat();
    if (size <= UPLOAD_BLOCK_BYTES) {
      const content = await file.readFile();
      await blob.upload(content, content.length, options);
    } else
      await blob.uploadStream(
        file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 }),
        UPLOAD_BLOCK_BYTES,
        UPLOAD_BLOCKS_AT_ONCE,
        options,
      );
  } catch (error) {
    throw coded(error, containerUrl);
  }
}

const ATTEMPTS_MAX = 4;
const RETRY_DELAY_MS = 500;
const RETRY_DELAY_MS_MAX = 8_000;
/** Of one request; a block is the largest. */
const REQUEST_TIMEOUT_MS = 120_000;
const OPTIONS = {
  retryOptions: {
    maxTries: ATTEMPTS_MAX,
    tryTimeoutInMs: REQUEST_TIMEOUT_MS,
    retryDelayInMs: RETRY_DELAY_MS,
    maxRetryDelayInMs: RETRY_DELAY_MS_MAX,
  },
  // A blob service does not redirect; whoever does leads somewhere else.
  redirectOptions: { maxRetries: 0 },
};

async function openContainer(
  containerUrl: string,
  reach: Reach,
  headers: UploadHeaders,
): Promise<ContainerClient> {
  const { AnonymousCredential, ContainerClient: Client, newPipeline } = await import('@azure/storage-blob');
  const pipeline = newPipeline(new AnonymousCredential(), OPTIONS);
  pipeline.factories.unshift({
    create: (next) => ({
      sendRequest: async (request) => {
        const url = new URL(request.url);
        reach.check(url);
        request.agent = newAgent(url, reach);
        // A block has no properties of its own: they belong to the blob, with its only or its last request.
        if (request.method === 'PUT' && url.searchParams.get('comp') !== 'block')
          for (const { name, value } of headers) request.headers.set(name, value);
        return boundedAnswer(request, () => next.sendRequest(request));
      },
    }),
  });
  return new Client(containerUrl, pipeline);
}

/** The library holds an answer in memory whole, whatever its length. */
async function boundedAnswer<T>(
  request: { readonly url: string; onDownloadProgress?: (progress: { loadedBytes: number }) => void },
  send: () => Promise<T>,
): Promise<T> {
  let excess: ShoalError | undefined;
  request.onDownloadProgress = ({ loadedBytes }) => {
    if (loadedBytes <= CONTAINER_ANSWER_BYTES_MAX) return;
    excess = new ShoalError('TooLarge', `${publicPart(request.url)} answers without end.`);
    throw excess;
  };
  try {
    return await send();
  } catch (error) {
    throw excess ?? error;
  }
}

function newAgent(url: URL, reach: Reach): HttpAgent | HttpsAgent {
  const options = { lookup: reach.lookup(url) };
  return url.protocol === 'http:' ? new HttpAgent(options) : new HttpsAgent(options);
}

function coded(error: unknown, containerUrl: string): ShoalError {
  if (error instanceof ShoalError) return error;
  const where = publicPart(containerUrl);
  const { statusCode, code, name } = error as { statusCode?: number; code?: string; name?: string };
  const options = { cause: error };
  if (statusCode === 404) {
    return new ShoalError('ContainerNotFound', `${where} does not exist (404).`, {}, options);
  }
  if (statusCode === 401 || statusCode === 403)
    return new ShoalError(
      'Forbidden',
      `${where} refused access (${statusCode}${code === undefined ? '' : ` ${code}`}): is the signature still good, and does it allow this?`,
      {},
      options,
    );
  if (code === 'ETIMEDOUT' || name === 'AbortError')
    return new ShoalError('OperationTimedOut', `${where} did not answer in time.`, {}, options);
  const what = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  return new ShoalError('InternalError', `${where}: ${what}`, {}, options);
}
