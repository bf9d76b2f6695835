/**
 * `hostile-sink`: a server that does nothing. It drops what it is sent and answers every head of a request with the
 * same refusal; it prints its port and ends with its standard input. What an honest client loses while the hostile one
 * sends here, it loses to the hostile client's own use of the machine.
 */
import { createServer } from 'node:net';

const ANSWER = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n';

const server = createServer((socket) => {
  socket.on('data', (bytes) => {
    if (bytes.indexOf('\r\n\r\n') >= 0) socket.write(ANSWER);
  });
  socket.on('error', () => undefined);
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP listener without a port');
  process.stdout.write(`${address.port}\n`);
});
process.stdin.resume().once('end', () => process.exit(0));
