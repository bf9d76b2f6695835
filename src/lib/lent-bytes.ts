/**
 * Bytes whose memory is wanted back. Large files pass through this process in pieces of a MiB, and V8 collects garbage after
 * each 64 MiB of them: for a GiB that cost as much CPU as to decrypt it. So a stream lends what it yields, and whoever wrote it
 * to its end, and knows that nobody reads it any more, gives it back. Everybody else need not know of this: what is not given
 * back is garbage like any other.
 */
const owners = new WeakMap<ArrayBufferLike, () => void>();

/** `takeBack` is called once, when nobody will read these bytes any more; or never. */
export function lend(bytes: Uint8Array, takeBack: () => void): void {
  owners.set(bytes.buffer, takeBack);
}

/** From here on the bytes, and all else that lies in their memory, may be anything. */
export function giveBack({ buffer }: Uint8Array): void {
  const takeBack = owners.get(buffer);
  owners.delete(buffer);
  takeBack?.();
}
