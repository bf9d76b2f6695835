/**
 * A task's resource files, brought to its working directory before it is launched: from the mesh's own storage, or from
 * any HTTP server that the task's author could reach as well. What is fetched is hashed chunk by chunk on the way.
 */
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import {
  INPUT_DOWNLOAD_ATTEMPTS_MAX,
  INPUT_DOWNLOAD_RETRY_MS,
  INPUT_DOWNLOAD_TIMEOUT_MS,
  INPUT_FETCHES_MAX,
  INPUT_FILES_MAX,
  RESOURCE_FILE_BYTES_MAX,
} from '../../src/lib/limits.ts';
import { type BlobRecord, parseMeshUrl } from '../../src/model/blob.ts';
import type { ResourceFile } from '../../src/model/task.ts';
import { type FillableFile, fillFile } from '../files/fill-file.ts';
import type { FileService } from '../files/interface.ts';
import { blobUrl, listBlobs, publicPart } from './azure-container.ts';
import { fetchPublicUrl } from './public-url.ts';
import type { Reach } from './reach.ts';

const DEFAULT_MODE = 0o770;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** An open file of a directory that inputs are brought to. */
export interface InputFile extends FillableFile {
  chmod(mode: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
  close(): Promise<void>;
}

/** Where inputs are brought to; a `SafeDirectory` is one. */
export interface InputDirectory {
  createFile(path: string, mode: number): Promise<InputFile>;
}

/** Where inputs come from, and to whom they shall belong. */
export interface InputSources {
  readonly files: Pick<FileService, 'list' | 'fetch' | 'openContent'>;
  readonly reach: Reach;
  readonly owner: Owner | undefined;
}

/** Throws the coded error of the first file that could not be had; `values.source` names it. */
export async function bringInputs(
  sources: InputSources,
  resources: readonly ResourceFile[],
  target: InputDirectory,
  signal: AbortSignal,
): Promise<void> {
  const wanted: Wanted[] = [];
  for (const resource of resources) {
    wanted.push(...(await resolve(sources, resource, signal)));
    if (wanted.length > INPUT_FILES_MAX)
      throw new ShoalError('TooLarge', `The task's resource files are more than ${INPUT_FILES_MAX}.`);
  }
  await inParallel(wanted, INPUT_FETCHES_MAX, (one) => bring(sources, one, target, signal));
}

interface Wanted {
  readonly path: string;
  readonly mode: number;
  readonly source:
    | { readonly kind: 'blob'; readonly record: BlobRecord }
    | { readonly kind: 'url'; readonly url: string };
}

async function resolve(
  { files, reach }: InputSources,
  resource: ResourceFile,
  signal: AbortSignal,
): Promise<Wanted[]> {
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
  const { httpUrl: url = '', storageContainerUrl, filePath } = resource;
  if (storageContainerUrl !== undefined) {
    const names = await naming(publicPart(storageContainerUrl), () =>
      listBlobs(storageContainerUrl, resource.blobPrefix ?? '', reach, signal),
    );
    return names.map((name) => ({
      path: joinPath(filePath, name),
      mode,
      source: { kind: 'url', url: blobUrl(storageContainerUrl, name) },
    }));
  }
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
  sources: InputSources,
  { source, path, mode }: Wanted,
  target: InputDirectory,
  signal: AbortSignal,
): Promise<void> {
  const { files, owner } = sources;
  const name =
    source.kind === 'url'
      ? publicPart(source.url)
      : `mesh://${source.record.container}/${source.record.name}`;
  await naming(name, async () => {
    const file = await target.createFile(path, mode);
    try {
      if (source.kind === 'url') await download(source.url, file, sources.reach, signal);
      else await fillFile(file, await openBlob(files, source.record, signal), signal);
      await file.chmod(mode & 0o777);
      if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    } finally {
      await file.close();
    }
  });
}

/** Puts the name of the source beside whatever goes wrong. */
async function naming<T>(source: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const coded = asShoalError(error);
    throw new ShoalError(coded.code, coded.message, { ...coded.values, source }, { cause: error });
  }
}

/** Begins again, from the first byte, where a server failed or fell silent; what it refused it would refuse again. */
async function download(url: string, file: FillableFile, reach: Reach, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const body = await fetchPublicUrl(url, {
        signal,
        timeoutMs: INPUT_DOWNLOAD_TIMEOUT_MS,
        bytesMax: RESOURCE_FILE_BYTES_MAX,
        reach,
      });
      return await fillFile(file, body, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { code } = asShoalError(error);
      const passing = code === 'InternalError' || code === 'OperationTimedOut';
      if (!passing || attempt === INPUT_DOWNLOAD_ATTEMPTS_MAX) throw error;
      await sleep(INPUT_DOWNLOAD_RETRY_MS * 2 ** (attempt - 1), undefined, { signal });
    }
  }
}

async function openBlob(
  files: InputSources['files'],
  record: BlobRecord,
  signal: AbortSignal,
): Promise<Readable> {
  await files.fetch(record.manifest, record.holders, signal);
  return files.openContent(record.manifest);
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
