import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { giveBack } from '../lib/lent-bytes.ts';

/**
 * Sends a body piece by piece, and gives the memory of each back when it has left this process. `begin` is to set the head: a
 * body that fails before its first piece can still be answered as an error, and is what this rejects with. One that fails
 * later breaks the connection, so that nobody takes what came for the whole. A client that hangs up ends the body.
 */
export async function sendStream(body: Readable, response: ServerResponse, begin: () => void): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    response.once('close', () => {
      body.destroy();
      resolve();
    });
  });
  try {
    for await (const piece of body) {
      if (!response.headersSent) begin();
      await Promise.race([written(response, piece), gone]);
      // Of a client that is gone nobody knows what still refers to the piece.
      if (response.destroyed) return;
      giveBack(piece);
    }
    if (!response.headersSent) begin();
    response.end();
  } catch (error) {
    if (!response.headersSent && !response.destroyed) throw error;
    response.destroy();
  }
}

/** Resolves when the piece has left this process. */
function written(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    response.write(piece, (error) => (error == null ? resolve() : reject(error)));
  });
}
