/**
 * A copy of `text` that shares no memory with what it was cut from. msgpackr decodes the strings of a message in chunks
 * and hands out slices of them, and a slice keeps its whole chunk alive: a 32-character id taken from a large batch was
 * measured to hold 6 KB. Whatever outlives its message for long (keys of hot state) is copied first; 0.4 us a piece.
 */
export function detached(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}
