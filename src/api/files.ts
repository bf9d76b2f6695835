/** Files of a task or a node: the same routes over two ways to reach them. */
import { ShoalError } from '../lib/errors.ts';
import type { ByteRange, CallOptions, FileEntry, OpenedFile } from '../model/control.ts';
import { readRange } from './byte-range.ts';
import { isNotModified } from './conditions.ts';
import { exactLength } from './exact-length.ts';
import { matcherOf } from './list-query.ts';
import { listAnswer, pageByKey, readPageWish } from './paging.ts';
import { fileHeaders, renderFile } from './render-file.ts';
import { type Answer, type Call, empty, param, type Route } from './route.ts';

/** One owner's files. */
export interface FileSource {
  /** URL of the task or node. */
  readonly url: string;
  list(recursive: boolean, options: CallOptions): Promise<readonly FileEntry[]>;
  stat(path: string, options: CallOptions): Promise<FileEntry>;
  open(path: string, range: ByteRange | undefined, options: CallOptions): Promise<OpenedFile>;
  remove(path: string, recursive: boolean, options: CallOptions): Promise<void>;
}

const PATH_LENGTH_MAX = 4096;
const COMPONENTS_MAX = 64;

/**
 * A file path from outside: relative, plain components. The agent opens it component by component
 * without following links; this only keeps nonsense off the wire. Throws `FileNotFound`.
 */
export function checkedPath(path: string): string {
  const components = path.split('/');
  const wrong =
    path.length === 0 ||
    path.length > PATH_LENGTH_MAX ||
    components.length > COMPONENTS_MAX ||
    /[\u0000-\u001f\u007f\\]/.test(path) ||
    components.some((component) => component === '' || component === '.' || component === '..');
  if (!wrong) return path;
  throw new ShoalError(
    'FileNotFound',
    'The file path must be relative, without empty, `.` or `..` components.',
    {
      FilePath: path.slice(0, 256),
    },
  );
}

/** `all`: the path of the list. `owner`: as Azure's operations name it. */
export function fileRoutes(
  all: string,
  owner: 'Task' | 'ComputeNode',
  sourceOf: (call: Call) => Promise<FileSource>,
): readonly Route[] {
  const one = `${all}/*`;
  const handled =
    (answer: (call: Call, source: FileSource) => Promise<Answer>) =>
    async (call: Call): Promise<Answer> =>
      answer(call, await sourceOf(call));
  return [
    {
      method: 'GET',
      path: all,
      name: `File_ListFrom${owner}`,
      query: ['$filter', 'recursive', 'maxresults', '$skiptoken'],
      handle: handled(listFiles),
    },
    { method: 'GET', path: one, name: `File_GetFrom${owner}`, handle: handled(getFile) },
    { method: 'HEAD', path: one, name: `File_GetPropertiesFrom${owner}`, handle: handled(headFile) },
    {
      method: 'DELETE',
      path: one,
      name: `File_DeleteFrom${owner}`,
      query: ['recursive'],
      handle: handled(deleteFile),
    },
  ];
}

async function listFiles(call: Call, source: FileSource): Promise<Answer> {
  const matches = matcherOf(call, 'file');
  const wish = readPageWish(call.query);
  const entries = await source.list(call.query.boolean('recursive'), call.options());
  const { items, next } = pageByKey(entries, wish, ({ path }) => path, matches);
  return listAnswer(
    call,
    'files',
    items.map((entry) => renderFile(entry, source.url)),
    next,
  );
}

async function headFile(call: Call, source: FileSource): Promise<Answer> {
  const entry = await source.stat(checkedPath(param(call, '*')), call.options());
  if (isNotModified(call.headers, stampOf(entry))) return empty(304);
  const length = entry.directory ? {} : { 'content-length': String(entry.sizeBytes) };
  return empty(200, { ...fileHeaders(entry, source.url), ...length });
}

/** A part of a file answers 200 as a whole one does: Azure's Python client takes 206 for an error. */
async function getFile(call: Call, source: FileSource): Promise<Answer> {
  const path = checkedPath(param(call, '*'));
  const entry = await source.stat(path, call.options());
  if (entry.directory) {
    throw new ShoalError('FileNotFound', 'The path is a directory: list the files instead.', {
      FilePath: path,
    });
  }
  if (isNotModified(call.headers, stampOf(entry))) return empty(304);
  const header = call.headers['ocp-range'] ?? call.headers.range;
  const range = readRange(typeof header === 'string' ? header : undefined, entry.sizeBytes);
  const length = range === undefined ? entry.sizeBytes : range.end - range.start + 1;
  const headers = { ...fileHeaders(entry, source.url), 'content-length': String(length) };
  if (length === 0) return empty(200, headers);
  const opened = await source.open(path, range ?? { start: 0, end: entry.sizeBytes - 1 }, {
    signal: call.signal,
  });
  return { kind: 'stream', status: 200, headers, body: exactLength(opened.body, length) };
}

async function deleteFile(call: Call, source: FileSource): Promise<Answer> {
  await source.remove(checkedPath(param(call, '*')), call.query.boolean('recursive'), call.options());
  return empty(200);
}

function stampOf(entry: FileEntry): { readonly eTag: string; readonly lastModifiedMs: number } {
  return { eTag: `0x${entry.modifiedAtMs.toString(16).toUpperCase()}`, lastModifiedMs: entry.modifiedAtMs };
}
