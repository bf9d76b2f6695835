/**
 * A task's resource files, brought to its working directory before it is launched: from the mesh's own storage, or from
 * any HTTP server that the task's author could reach as well. What is fetched is hashed chunk by chunk on the way.
 */

import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  INPUT_DOWNLOAD_TIMEOUT_MS,
  INPUT_FETCHES_MAX,
  RESOURCE_FILE_BYTES_MAX,
} from '../../src/lib/limits.ts';
import { type BlobRecord, parseMeshUrl } from '../../src/model/blob.ts';
import type { ResourceFile } from '../../src/model/task.ts';
import type { FileService } from '../files/interface.ts';
import { SafeDirectory } from '../files/safe-path.ts';
import { fetchPublicUrl } from './public-url.ts';

const DEFAULT_MODE = 0o770;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Throws the coded error of the first file that could not be had; `values.source` names it. */
export async function bringInputs(
  files: FileService,
  resources: readonly ResourceFile[],
  directory: string,
  owner: Owner | undefined,
  signal: AbortSignal,
): Promise<void> {
  const target = await SafeDirectory.open(directory);
  try {
    const wanted: Wanted[] = [];
    for (const resource of resources) wanted.push(...(await resolve(files, resource, signal)));
    await inParallel(wanted, INPUT_FETCHES_MAX, (one) => bring(files, one, target, owner, signal));
  } finally {
    await target.close();
  }
}

interface Wanted {
  readonly path: string;
  readonly mode: number;
  readonly source:
    | { readonly kind: 'blob'; readonly record: BlobRecord }
    | { readonly kind: 'url'; readonly url: string };
}

async function resolve(files: FileService, resource: ResourceFile, signal: AbortSignal): Promise<Wanted[]> {
  const mode = resource.fileMode === undefined ? DEFAULT_MODE : Number.parseInt(resource.fileMode, 8);
  const container = resource.autoStorageContainerName ?? meshContainer(resource.storageContainerUrl);
  if (container !== undefined) {
    const records = await files.list(container, resource.blobPrefix ?? '', signal);
    return records.map((record) => ({
      path: joinPath(resource.filePath, record.name),
      mode,
      source: { kind: 'blob', record },
    }));
  }
  const url = resource.httpUrl;
  if (url === undefined)
    throw new ShoalError(
      'InvalidPropertyValue',
      'Only containers of the mesh (mesh://<container>) can be resource files as a whole.',
      { source: resource.storageContainerUrl ?? '' },
    );
  const own = parseMeshUrl(url);
  if (own?.blob === undefined)
    return [{ path: resource.filePath ?? lastPart(url), mode, source: { kind: 'url', url } }];
  const name = own.blob;
  const record = (await files.list(own.container, name, signal)).find((blob) => blob.name === name);
  if (record === undefined) throw new ShoalError('BlobNotFound', `There is no blob ${url}.`, { source: url });
  return [{ path: resource.filePath ?? lastPart(name), mode, source: { kind: 'blob', record } }];
}

function meshContainer(url: string | undefined): string | undefined {
  return url === undefined ? undefined : parseMeshUrl(url)?.container;
}

function joinPath(prefix: string | undefined, name: string): string {
  return prefix === undefined || prefix === '' ? name : `${prefix.replace(/\/+$/, '')}/${name}`;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

async function bring(
  files: FileService,
  wanted: Wanted,
  target: SafeDirectory,
  owner: Owner | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { source } = wanted;
  const name = source.kind === 'url' ? source.url : `mesh://${source.record.container}/${source.record.name}`;
  try {
    const body =
      source.kind === 'url'
        ? await fetchPublicUrl(source.url, {
            signal,
            timeoutMs: INPUT_DOWNLOAD_TIMEOUT_MS,
            bytesMax: RESOURCE_FILE_BYTES_MAX,
          })
        : await openBlob(files, source.record, signal);
    const file = await target.createFile(wanted.path, wanted.mode);
    try {
      await fill(file, body, signal);
      await file.chmod(wanted.mode & 0o777);
      if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    } finally {
      await file.close();
    }
  } catch (error) {
    const coded = asShoalError(error);
    throw new ShoalError(coded.code, coded.message, { ...coded.values, source: name }, { cause: error });
  }
}

async function openBlob(files: FileService, record: BlobRecord, signal: AbortSignal): Promise<Readable> {
  await files.fetch(record.manifest, record.holders, signal);
  return files.openContent(record.manifest);
}

async function fill(file: FileHandle, body: Readable, signal: AbortSignal): Promise<void> {
  await pipeline(
    body,
    async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const chunk of chunks) await file.writeFile(chunk);
    },
    { signal },
  );
}

/** At most `limit` at once; stops at the first failure. */
async function inParallel<T>(
  items: readonly T[],
  limit: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const item of { [Symbol.iterator]: () => rest }) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
