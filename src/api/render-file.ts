/** A file of a task or node as Azure Batch's NodeFile, and as the headers of its own answer. */
import { formatTimestamp } from '../lib/timestamps.ts';
import type { FileEntry } from '../model/control.ts';
import { fileUrl } from './entity-url.ts';
import type { Headers } from './route.ts';

/** Never a type that a browser would run. */
const CONTENT_TYPE = 'text/plain';

/** Lengths are 64-bit integers, which Azure writes as text. The file systems keep no creation time that could be told. */
export function renderFile(entry: FileEntry, ownerUrl: string): Record<string, unknown> {
  return {
    name: entry.path,
    url: fileUrl(ownerUrl, entry.path),
    isDirectory: entry.directory,
    properties: entry.directory
      ? undefined
      : {
          creationTime: formatTimestamp(entry.modifiedAtMs),
          lastModified: formatTimestamp(entry.modifiedAtMs),
          contentLength: String(entry.sizeBytes),
          contentType: CONTENT_TYPE,
          fileMode: modeText(entry),
        },
  };
}

export function fileHeaders(entry: FileEntry, ownerUrl: string): Headers {
  const modified = new Date(entry.modifiedAtMs).toUTCString();
  const mode = modeText(entry);
  return {
    'last-modified': modified,
    'ocp-creation-time': modified,
    'ocp-batch-file-isdirectory': entry.directory ? 'True' : 'False',
    'ocp-batch-file-url': fileUrl(ownerUrl, entry.path),
    ...(mode !== undefined && { 'ocp-batch-file-mode': mode }),
    'content-type': CONTENT_TYPE,
    'content-disposition': 'attachment',
  };
}

function modeText(entry: FileEntry): string | undefined {
  return entry.mode === undefined ? undefined : `0o${entry.mode.toString(8)}`;
}
