/**
 * The messages by which machines move chunks and read each other's nodes' files: names of requests, channels and bulk
 * purposes, and the shape of each.
 */
import Type, { type Static, type TSchema } from 'typebox';
import {
  BITFIELD_BYTES_MAX,
  CHUNK_ANNOUNCEMENT_MAX,
  CHUNK_BYTES,
  CONTAINER_URL_LENGTH_MAX,
  FILE_ENTRIES_MAX,
  FILE_INLINE_BYTES_MAX,
  PATH_BYTES_MAX,
  PUSH_CONTENTS_MAX,
  TRANSFER_HOLDERS_MAX,
} from '../lib/limits.ts';
import { decoder, encode } from './codec.ts';

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Name = Type.String({ maxLength: 256 });
const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Path = Type.String({ maxLength: PATH_BYTES_MAX });

function bytesUpTo(bytesMax: number) {
  const fits = (value: unknown): boolean => value instanceof Uint8Array && value.length <= bytesMax;
  return Type.Unsafe<Uint8Array>(Type.Refine(Type.Unknown(), fits));
}

function message<S extends TSchema>(
  what: string,
  schema: S,
): { encode(value: Static<S>): Uint8Array; decode(bytes: Uint8Array): Static<S> } {
  return { encode, decode: decoder(what, schema) };
}

// --- Contents -----------------------------------------------------------------------------------------------------

/** Request: how much of a content is there? `fetching` makes the asker known to others as one who will soon hold some of it. */
export const HAVE_REQUEST = 'files.have';
export const Have = message(
  'have',
  Type.Object({ manifest: Hash, fetching: Type.Boolean(), withChunks: Type.Boolean() }),
);
export const HaveAnswer = message(
  'have answer',
  Type.Object({
    held: Type.Enum(['none', 'some', 'all']),
    /** Where some of it is: one bit a chunk, the least significant first. */
    bitfield: Type.Union([bytesUpTo(BITFIELD_BYTES_MAX), Type.Null()]),
    /** Peers that fetch it from there. */
    fetchers: Type.Array(Name, { maxItems: TRANSFER_HOLDERS_MAX }),
    /** The manifest's root chunk, and all other chunks with it where the content is small. Each is checked by its hash. */
    chunks: Type.Array(bytesUpTo(CHUNK_BYTES), { maxItems: PUSH_CONTENTS_MAX }),
  }),
);
export type HaveAnswer = ReturnType<typeof HaveAnswer.decode>;

/** One-way channel: chunks that arrived, told to those who fetch the same content. */
export const GOT_CHANNEL = 'files.got';
export const Got = message(
  'got',
  Type.Object({ manifest: Hash, chunks: Type.Array(Count, { maxItems: CHUNK_ANNOUNCEMENT_MAX }) }),
);

/** One-way channel: a chunk that the receiver of this message served failed its hash at the sender. */
export const DAMAGED_CHANNEL = 'files.damaged';
export const Damaged = message('damaged', Type.Object({ chunk: Hash }));

/** Request: take these small contents, all their chunks inside. Answered when they are on disk. */
export const PUSH_REQUEST = 'files.push';
export const Push = message(
  'push',
  Type.Object({
    contents: Type.Array(
      Type.Object({
        manifest: Hash,
        chunks: Type.Array(bytesUpTo(CHUNK_BYTES), { maxItems: PUSH_CONTENTS_MAX }),
        keepUntilMs: Type.Optional(Type.Number()),
      }),
      { maxItems: PUSH_CONTENTS_MAX },
    ),
  }),
);

/** Request: fetch a content. Answered when all of it is on disk, or after a while with how far it got: then ask again. */
export const FETCH_REQUEST = 'files.fetch';
export const Fetch = message(
  'fetch',
  Type.Object({
    manifest: Hash,
    from: Type.Array(Name, { maxItems: TRANSFER_HOLDERS_MAX }),
    keepUntilMs: Type.Optional(Type.Number()),
  }),
);
export const FetchAnswer = message(
  'fetch answer',
  Type.Object({ done: Type.Boolean(), arrivedBytes: Count }),
);

/** Bulk purpose: chunks by hash; `agent/files/chunk-stream.ts` describes the frames. */
export const CHUNKS_PURPOSE = 'chunks';

// --- Files of nodes -----------------------------------------------------------------------------------------------

const Entry = Type.Object({
  path: Path,
  directory: Type.Boolean(),
  sizeBytes: Count,
  modifiedAtMs: Type.Number(),
  mode: Type.Integer(),
});

/** Where on the machine: a node, and a directory below the node's own; empty for that itself. */
const place = { node: Name, directory: Path };

export const LIST_REQUEST = 'files.list';
export const List = message('list', Type.Object({ ...place, recursive: Type.Boolean() }));
export const ListAnswer = message(
  'list answer',
  Type.Object({ entries: Type.Array(Entry, { maxItems: FILE_ENTRIES_MAX }) }),
);

export const STAT_REQUEST = 'files.stat';
export const Stat = message('stat', Type.Object({ ...place, path: Path }));
export const StatAnswer = message('stat answer', Entry);

/** Request: a range of a file, as much of it as the file has, inside the answer. */
export const READ_REQUEST = 'files.read';
export const Read = message(
  'read',
  Type.Object({ ...place, path: Path, start: Count, end: Type.Optional(Count) }),
);
/** `bytes` is null where the range is too long for an answer: ask for a stream. */
export const ReadAnswer = message(
  'read answer',
  Type.Object({ entry: Entry, bytes: Type.Union([bytesUpTo(FILE_INLINE_BYTES_MAX), Type.Null()]) }),
);

export const DELETE_REQUEST = 'files.delete';
export const Delete = message('delete', Type.Object({ ...place, path: Path, recursive: Type.Boolean() }));

/**
 * Bulk purpose: a range of a file; its header is a `Read`. What comes back is a length of four bytes, a `FileHead` of that
 * length, and the bytes that it announces.
 */
export const FILE_PURPOSE = 'file';
export const FileHead = message(
  'file head',
  Type.Union([
    Type.Object({ entry: Entry, lengthBytes: Count }),
    Type.Object({ error: Type.Object({ code: Name, message: Type.String({ maxLength: 4096 }) }) }),
  ]),
);

/** Request: send your agent's log files with lines of the time range to a container. Answered when they are there. */
export const UPLOAD_LOGS_REQUEST = 'files.uploadLogs';
export const UploadLogs = message(
  'upload of logs',
  Type.Object({
    containerUrl: Type.String({ maxLength: CONTAINER_URL_LENGTH_MAX }),
    /** What the names of the blobs begin with. */
    directory: Type.String({ pattern: '^[A-Za-z0-9_-]+(/[A-Za-z0-9_.-]+)*$', maxLength: 512 }),
    startMs: Type.Number(),
    endMs: Type.Number(),
  }),
);
export const UploadLogsAnswer = message('upload answer', Type.Object({ files: Count }));
