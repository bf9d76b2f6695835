/** Contents that say what they are: whoever reads one knows whether these are its bytes. */

export const BLOBS = 'blobs';
/** Where tasks store their outputs, under `<job>/<task>`. */
export const OUTPUTS = 'outputs';

/** One version of a blob. */
export interface Version {
  readonly name: string;
  readonly number: number;
  /** After the head, which is one block: each is one of a few, so that contents have chunks in common. */
  readonly blocks: readonly number[];
  readonly blockBytes: number;
  /** Behind the last block. */
  readonly restBytes: number;
}

export function bytesOf({ name, number, blocks, blockBytes, restBytes }: Version): Buffer {
  const bytes = Buffer.alloc(blockBytes * (blocks.length + 1) + restBytes, `${name}#${number} `);
  for (const [index, block] of blocks.entries())
    bytes.fill(`block ${block} `, blockBytes * (index + 1), blockBytes * (index + 2));
  return bytes;
}

/** The version among these whose bytes they are; undefined where they are of none. */
export function versionOf(bytes: Uint8Array, versions: readonly Version[]): Version | undefined {
  return versions.find((version) => bytesOf(version).equals(bytes));
}

export function outputOf(task: string, epoch: number): Buffer {
  return Buffer.from(`output of ${task} in epoch ${epoch}`);
}
