/** Our routes of containers and blobs in the mesh's own storage. */
import { ShoalError } from '../../lib/errors.ts';
import { BLOB_BYTES_MAX, PAGE_ITEMS_MAX } from '../../lib/limits.ts';
import { type BlobRecord, isValidBlobName, isValidContainerName } from '../../model/blob.ts';
import { MESH_GROUP } from '../../model/ids.ts';
import { unwrap } from '../../model/outcome.ts';
import { readRange } from '../byte-range.ts';
import { isNotModified } from '../conditions.ts';
import type { ApiContext } from '../context.ts';
import { exactLength } from '../exact-length.ts';
import { tooLarge } from '../json-body.ts';
import { type Answer, type Call, empty, type Headers, json, param, type Route } from '../route.ts';
import { guardUpload } from '../upload.ts';
import { itemsAnswer } from './items.ts';

export function storageRoutes(context: ApiContext): readonly Route[] {
  const storage = new StorageHandlers(context);
  const all = '/shoal/v1/containers';
  const container = `${all}/:container`;
  const blob = `${container}/blobs/*`;
  return [
    { method: 'GET', path: all, name: 'Shoal_ListContainers', handle: storage.listContainers },
    { method: 'PUT', path: container, name: 'Shoal_CreateContainer', handle: storage.createContainer },
    { method: 'DELETE', path: container, name: 'Shoal_DeleteContainer', handle: storage.deleteContainer },
    {
      method: 'GET',
      path: `${container}/blobs`,
      name: 'Shoal_ListBlobs',
      query: ['prefix', 'after', 'limit'],
      handle: storage.listBlobs,
    },
    {
      method: 'PUT',
      path: blob,
      name: 'Shoal_PutBlob',
      query: ['create'],
      body: 'stream',
      handle: storage.putBlob,
    },
    { method: 'GET', path: blob, name: 'Shoal_GetBlob', handle: storage.getBlob },
    { method: 'HEAD', path: blob, name: 'Shoal_HeadBlob', handle: storage.headBlob },
    { method: 'DELETE', path: blob, name: 'Shoal_DeleteBlob', handle: storage.deleteBlob },
  ];
}

class StorageHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  listContainers = async (call: Call): Promise<Answer> =>
    itemsAnswer(await this.#context.control.query(MESH_GROUP, 'container.list', {}, call.options()));

  createContainer = async (call: Call): Promise<Answer> => {
    const command = { kind: 'container.create', name: containerOf(call) } as const;
    unwrap(await this.#context.control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
    return empty(201);
  };

  deleteContainer = async (call: Call): Promise<Answer> => {
    const command = { kind: 'container.delete', name: containerOf(call) } as const;
    unwrap(await this.#context.control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
    return empty(204);
  };

  listBlobs = async (call: Call): Promise<Answer> => {
    const prefix = call.query.get('prefix');
    const after = call.query.get('after');
    const request = {
      container: containerOf(call),
      ...(prefix !== undefined && { prefix }),
      ...(after !== undefined && { after }),
      limit: call.query.integer('limit', 1, PAGE_ITEMS_MAX) ?? PAGE_ITEMS_MAX,
    };
    const page = await this.#context.control.query(MESH_GROUP, 'blob.list', request, call.options());
    return itemsAnswer(page.items, page.next);
  };

  putBlob = async (call: Call): Promise<Answer> => {
    const { container, name } = blobOf(call);
    const createContainer = call.query.boolean('create');
    const length = Number(call.headers['content-length'] ?? 0);
    if (length > BLOB_BYTES_MAX) throw tooLarge(BLOB_BYTES_MAX);
    const body = guardUpload(call.stream, BLOB_BYTES_MAX, this.#context.clock);
    const options = { signal: call.signal, createContainer };
    try {
      const record = await this.#context.control.files.putBlob(container, name, body, options);
      return json(record, blobHeaders(record), 201);
    } finally {
      body.destroy();
    }
  };

  getBlob = async (call: Call): Promise<Answer> => {
    const record = await this.#find(call);
    if (isNotModified(call.headers, stampOf(record))) return empty(304, blobHeaders(record));
    const range = readRange(call.headers.range, record.sizeBytes);
    const length = range === undefined ? record.sizeBytes : range.end - range.start + 1;
    const headers: Headers = {
      ...blobHeaders(record),
      'content-length': String(length),
      ...(range !== undefined && {
        'content-range': `bytes ${range.start}-${range.end}/${record.sizeBytes}`,
      }),
    };
    const status = range === undefined ? 200 : 206;
    if (length === 0) return empty(status, headers);
    const { files } = this.#context.control;
    const opened = await files.openBlob(record.container, record.name, range, { signal: call.signal });
    if (opened.record.manifest !== record.manifest) {
      opened.body.destroy();
      throw new ShoalError('ServerBusy', 'The blob was replaced while it was opened.');
    }
    return { kind: 'stream', status, headers, body: exactLength(opened.body, length) };
  };

  headBlob = async (call: Call): Promise<Answer> => {
    const record = await this.#find(call);
    if (isNotModified(call.headers, stampOf(record))) return empty(304, blobHeaders(record));
    return empty(200, { ...blobHeaders(record), 'content-length': String(record.sizeBytes) });
  };

  deleteBlob = async (call: Call): Promise<Answer> => {
    const { container, name } = blobOf(call);
    const command = { kind: 'blob.delete', container, names: [name] } as const;
    unwrap(await this.#context.control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
    return empty(204);
  };

  #find(call: Call): Promise<BlobRecord> {
    return this.#context.control.query(MESH_GROUP, 'blob.get', blobOf(call), call.options());
  }
}

function containerOf(call: Call): string {
  const name = param(call, 'container');
  if (isValidContainerName(name)) return name;
  throw new ShoalError(
    'InvalidArgument',
    'A container name has 3 to 63 lower-case letters, digits and single dashes.',
    {
      Container: name.slice(0, 128),
    },
  );
}

function blobOf(call: Call): { readonly container: string; readonly name: string } {
  const name = param(call, '*');
  if (isValidBlobName(name)) return { container: containerOf(call), name };
  throw new ShoalError(
    'InvalidArgument',
    'A blob name has 1 to 1,024 characters, no control characters or backslashes, and no empty, `.` or `..` component.',
    { Blob: name.slice(0, 256) },
  );
}

/** The manifest names the content, so it is the entity tag. */
function stampOf(record: BlobRecord): { readonly eTag: string; readonly lastModifiedMs: number } {
  return { eTag: record.manifest, lastModifiedMs: record.modifiedAtMs };
}

/** Whatever the bytes are, a browser is to save them and not to run them. */
function blobHeaders(record: BlobRecord): Headers {
  return {
    etag: `"${record.manifest}"`,
    'last-modified': new Date(record.modifiedAtMs).toUTCString(),
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'content-disposition': 'attachment',
  };
}
