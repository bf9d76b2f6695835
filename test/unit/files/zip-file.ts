/** Zip files made by hand, so that they can be as wrong as a test wants them. */
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly content?: string | Buffer;
  /** With the bits of its type. Default: a regular file of mode 0644. */
  readonly mode?: number;
  /** The system whose zip program made it; default 3, Unix. */
  readonly system?: number;
  /** What the list says of its size, where that is to be a lie. */
  readonly declaredBytes?: number;
  readonly encrypted?: true;
}

export const LINK = 0o120_777;
export const PROGRAM = 0o100_755;

export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const files: Buffer[] = [];
  const list: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const file = Buffer.concat([localHeader(entry), bodyOf(entry)]);
    list.push(listed(entry, offset));
    files.push(file);
    offset += file.length;
  }
  const directory = Buffer.concat(list);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, directory, end]);
}

const contentOf = ({ content = '' }: ZipEntry): Buffer => Buffer.from(content);
const bodyOf = (entry: ZipEntry): Buffer => deflateRawSync(contentOf(entry));

/** Version needed, flags, method, time, date, checksum and the two sizes: the same in both headers. */
function common(entry: ZipEntry): Buffer {
  const fields = Buffer.alloc(22);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(0x0800 | (entry.encrypted === true ? 1 : 0), 2);
  fields.writeUInt16LE(8, 4);
  fields.writeUInt16LE(0x21, 8);
  fields.writeUInt32LE(crc32(contentOf(entry)), 10);
  fields.writeUInt32LE(bodyOf(entry).length, 14);
  fields.writeUInt32LE(entry.declaredBytes ?? contentOf(entry).length, 18);
  return fields;
}

function localHeader(entry: ZipEntry): Buffer {
  const name = Buffer.from(entry.name);
  const signature = Buffer.alloc(4);
  signature.writeUInt32LE(0x04034b50, 0);
  const lengths = Buffer.alloc(4);
  lengths.writeUInt16LE(name.length, 0);
  return Buffer.concat([signature, common(entry), lengths, name]);
}

function listed(entry: ZipEntry, offset: number): Buffer {
  const name = Buffer.from(entry.name);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(0x02014b50, 0);
  head.writeUInt16LE(((entry.system ?? 3) << 8) | 30, 4);
  const tail = Buffer.alloc(18);
  tail.writeUInt16LE(name.length, 0);
  tail.writeUInt32LE(((entry.mode ?? 0o100_644) << 16) >>> 0, 10);
  tail.writeUInt32LE(offset, 14);
  return Buffer.concat([head, common(entry), tail, name]);
}
