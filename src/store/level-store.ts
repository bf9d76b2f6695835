/**
 * The store of a machine on disk. Its directory:
 *
 *     generation   name of this store (its incarnation); written last when the store is made
 *     acked        how far the database was synced (acked-file.ts)
 *     level/       the database, with the incarnation inside too
 *     lock/        an empty LevelDB that serves as the lock: held before the real database is looked at, as opening
 *                  that one already changes it. LevelDB's lock dies with its process, kill -9 included
 *
 * What an open can find, and what it does:
 *
 *     neither generation nor database           a new store
 *     no generation, database with one batch    creation was interrupted: finished
 *     no generation, database with more         CorruptStore: half a restored backup, or a lost file
 *     generation, no CURRENT in the database    CorruptStore, before LevelDB makes an empty one and deletes the tables
 *     generation, other or no incarnation       CorruptStore: the database is empty or somebody else's
 *     damaged log                               cut or CorruptStore, see write-ahead-log.ts
 *     database behind `acked`                   CorruptStore: batches that were promised are gone
 *     manifest or table missing                 CorruptStore, from LevelDB
 *     damaged head or log of one group          CorruptStore from that group's `loadGroup`
 *     damaged row                               CorruptStore when it is read
 *     row whose key is damaged                  reads as missing, and is not noticed: LevelDB 1.20 skips its own block
 *                                               checksums, and the wrapper has no switch for them
 *
 * Not seen: a directory replaced as a whole by an older copy of itself. Only peers can tell (their acks are beyond it).
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../lib/errors.ts';
import { STORE_PAGE_RECORDS } from '../lib/limits.ts';
import { isCode } from '../lib/system-error.ts';
import { AckedFile } from './acked-file.ts';
import type { Acked } from './engine.ts';
import { checkAcked, readHeads, type StoreHeads } from './heads.ts';
import type { Store } from './interface.ts';
import { BATCH_KEY, DROPPED_PREFIX, HEAD_PREFIX, prefixEnd, START_PREFIX, STORE_KEY } from './keys.ts';
import { LevelEngine, levelError, openDatabase } from './level-engine.ts';
import { RecordStore } from './record-store.ts';
import { encodeBatchMark, frame, unframe } from './records.ts';
import { checkWriteAheadLog } from './write-ahead-log.ts';

type Database = Awaited<ReturnType<typeof openDatabase>>;

/**
 * Opens the store in `directory`, or makes it (mode 0700). Throws `AgentRunning` where another process has it open,
 * `CorruptStore` where something that was promised to be durable is missing, `DiskFull`, `InternalError`.
 */
export async function openLevelStore(directory: string): Promise<Store> {
  const undo: (() => Promise<void>)[] = [];
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const lock = await openDatabase(join(directory, 'lock'));
    undo.push(() => lock.close());
    const generation = await readGeneration(directory);
    const { database, acked, file } =
      generation === undefined ? await create(directory, undo) : await reopen(directory, generation, undo);
    const incarnation = await readIncarnation(database);
    if (incarnation === undefined || (generation !== undefined && incarnation !== generation)) {
      throw emptied(directory, generation, incarnation);
    }
    const heads = await loadHeads(database);
    checkAcked(heads, acked);
    if (generation === undefined) await writeGeneration(directory, incarnation);
    return new LockedStore(new LevelEngine(database, file), incarnation, heads, () => lock.close());
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw levelError(error, directory);
  }
}

/** Gives up the lock last, once nothing of the database is open. */
class LockedStore extends RecordStore {
  readonly #unlock: () => Promise<void>;

  constructor(engine: LevelEngine, incarnation: string, heads: StoreHeads, unlock: () => Promise<void>) {
    super(engine, incarnation, heads);
    this.#unlock = unlock;
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#unlock();
  }
}

interface Opened {
  readonly database: Database;
  readonly file: AckedFile;
  readonly acked: Acked;
}

async function reopen(directory: string, generation: string, undo: (() => Promise<void>)[]): Promise<Opened> {
  const path = join(directory, 'level');
  if (!(await exists(join(path, 'CURRENT')))) throw emptied(directory, generation, undefined);
  const { file, acked } = await openAcked(directory);
  undo.push(() => file.close());
  await checkWriteAheadLog(path, acked.batch);
  const database = await openDatabase(path);
  undo.push(() => database.close());
  return { database, file, acked };
}

/** Also finishes a creation that was interrupted before its last step, the generation file. */
async function create(directory: string, undo: (() => Promise<void>)[]): Promise<Opened> {
  const database = await openDatabase(join(directory, 'level'));
  undo.push(() => database.close());
  const { batch } = await loadHeads(database);
  if (batch > CREATION_BATCH) {
    throw new ShoalError(
      'CorruptStore',
      `${directory} holds a database with data and no generation file: a part of a backup, or a lost file.`,
      { directory, missing: 'generation' },
    );
  }
  if (batch === 0) await writeIncarnation(database);
  const file = await AckedFile.create(join(directory, 'acked'));
  undo.push(() => file.close());
  return { database, file, acked: { batch: 0, groups: [] } };
}

const CREATION_BATCH = 1;

function writeIncarnation(database: Database): Promise<void> {
  const mark = encodeBatchMark(BATCH_KEY, { batch: CREATION_BATCH, synced: true });
  const incarnation = frame(STORE_KEY, Buffer.from(randomBytes(4).toString('hex')));
  return database.batch().put(BATCH_KEY, mark).put(STORE_KEY, incarnation).write({ sync: true });
}

async function readIncarnation(database: Database): Promise<string | undefined> {
  const record: Buffer | undefined = await database.get(STORE_KEY);
  const payload = record === undefined ? undefined : unframe(STORE_KEY, record);
  return payload === undefined ? undefined : Buffer.from(payload).toString('latin1');
}

async function loadHeads(database: Database): Promise<StoreHeads> {
  const mark: Buffer | undefined = await database.get(BATCH_KEY);
  const [heads, starts, dropped] = await Promise.all([
    all(database, HEAD_PREFIX),
    all(database, START_PREFIX),
    all(database, DROPPED_PREFIX),
  ]);
  return readHeads(mark, { heads, starts, dropped });
}

async function all(database: Database, prefix: string): Promise<[string, Buffer][]> {
  const records: [string, Buffer][] = [];
  const iterator = database.iterator({ gte: prefix, lt: prefixEnd(prefix) });
  try {
    for (let page = await iterator.nextv(STORE_PAGE_RECORDS); page.length > 0; ) {
      records.push(...page);
      page = await iterator.nextv(STORE_PAGE_RECORDS);
    }
  } finally {
    await iterator.close();
  }
  return records;
}

async function openAcked(directory: string): Promise<{ file: AckedFile; acked: Acked }> {
  try {
    return await AckedFile.open(join(directory, 'acked'));
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
    throw new ShoalError('CorruptStore', `${directory} has lost its file "acked": a part of a backup?`, {
      directory,
      missing: 'acked',
    });
  }
}

function emptied(directory: string, generation: string | undefined, found: string | undefined): ShoalError {
  return new ShoalError(
    'CorruptStore',
    `The database in ${directory} should be ${generation ?? 'new'} and is ${found ?? 'empty'}.`,
    { directory, missing: 'database', expected: generation ?? '', found: found ?? '' },
  );
}

// --- Generation file --------------------------------------------------------------------------------------------

const GENERATION = /^shoal store ([0-9a-f]{8})\n$/;

async function readGeneration(directory: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, 'generation'), 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const generation = GENERATION.exec(text)?.[1];
  if (generation !== undefined) return generation;
  throw new ShoalError('CorruptStore', `The generation file in ${directory} cannot be read.`, {
    directory,
    missing: 'generation',
  });
}

/** Whole or not at all, and on disk with its directory entry when this resolves. */
async function writeGeneration(directory: string, incarnation: string): Promise<void> {
  const path = join(directory, 'generation');
  const handle = await open(`${path}.new`, 'w', 0o600);
  try {
    await handle.writeFile(`shoal store ${incarnation}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  const parent = await open(directory, 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}
