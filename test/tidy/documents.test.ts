/** Tables in the documents that must equal the code. `UPDATE_DOCS=1` writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Config } from '../../agent/main/config.ts';
import { ERRORS, type ErrorCode, ShoalError } from '../../src/lib/errors.ts';
import { LOG_FILE_BYTES_MAX, LOG_FILES_MAX } from '../../src/lib/limits.ts';
import { VERSION } from '../../src/lib/version.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const docs = join(root, 'docs');

function expectDocument(name: string, text: string): void {
  const path = join(docs, name);
  if (process.env.UPDATE_DOCS === '1') writeFileSync(path, text);
  expect(readFileSync(path, 'utf8')).toBe(text);
}

function errorTable(): string {
  const rows = (Object.keys(ERRORS) as ErrorCode[]).map((code) => {
    const { status, message, hint, retryable } = new ShoalError(code);
    return `| ${code} | ${status} | ${retryable ? 'yes' : ''} | ${message}${hint === undefined ? '' : ` ${hint}`} |`;
  });
  return `# Errors

Every error has a code of this table. Those that Azure Batch knows keep its spelling and its HTTP status. *Again* means that
the same request can succeed a moment later, without a change. How the codes read as exit codes of the command line stands
in [cli.md](cli.md).

| code | HTTP | again | what it means, and what to do |
|---|---|---|---|
${rows.join('\n')}
`;
}

/** What each key of the configuration is for; the code knows its shape. */
const KEYS: Readonly<Record<string, string>> = {
  meshId: 'The mesh this machine belongs to. Do not change it.',
  name: "This machine's name in the mesh.",
  listen: 'Multiaddrs to listen on. An empty list makes a machine that only dials out.',
  announce: 'Multiaddrs that others are told, where they differ from those listened on.',
  mdns: 'Whether to look for members on the local network.',
  apiPort: 'TCP port of the HTTP API; 0 picks a free one, null means none. The unix socket is always there.',
  apiHost:
    'Address that the HTTP API listens on, 127.0.0.1 if absent. Off loopback it is HTTPS, with a certificate of the mesh (`shoal api ca`).',
  capacity: '`cores`, `memoryBytes`, `gpus` and `labels` to offer, where they differ from what is found.',
  allowLocalUrls:
    '`address:port` of servers on this machine, such as `127.0.0.1:10000`, that resource files may come from and output files go to. Every other loopback or link-local address is refused.',
  containerEngine:
    '`podman`, `docker`, or `none` for a machine that runs no container tasks. If absent, the first of the two that works. The agent asks once, when it starts.',
  members: "Addresses of members from the token; the mesh's own list takes over once it is there.",
  founding: 'Only on the first machine, until its first start.',
  logLevel:
    '`debug`, `info`, `warn` or `error`. The log goes to standard error and to `private/logs`, as JSON lines.',
};

function configurationTable(): string {
  const rows = Object.keys(Config.properties).map((key) => `| \`${key}\` | ${KEYS[key] ?? ''} |`);
  return `# Configuration

\`config.json\` in the data directory is written by \`shoal init\` and \`shoal join\`. The agent reads it when it starts; an
unknown key or a wrong value is refused by name. The data directory is \`--data\`, else \`SHOAL_DATA\`, else
\`/var/lib/shoal\` for root and \`~/.local/share/shoal\` for everybody else.

| key | meaning |
|---|---|
${rows.join('\n')}

| in the data directory | what it is |
|---|---|
| \`config.json\` | this file; mode 0600 |
| \`api.sock\` | the HTTP API for whoever may open it; mode 0600 |
| \`private/\` | identity, database, chunks, the runner's journal; mode 0700 |
| \`private/logs/\` | the agent's log: \`agent.log\` is written, \`agent.1.log\` to \`agent.${LOG_FILES_MAX - 1}.log\` came before it, ${LOG_FILE_BYTES_MAX / 1024 ** 2} MiB each |
| \`nodes/\` | the nodes of this machine, each with Azure Batch's directories |
`;
}

describe('the documents', () => {
  it('list every error code, with its status, as the code has it', () => {
    expectDocument('errors.md', errorTable());
  });

  it('list every key of the configuration', () => {
    expect(Object.keys(Config.properties).filter((key) => KEYS[key] === undefined)).toEqual([]);
    expectDocument('configuration.md', configurationTable());
  });

  it('and the package agree on the version', () => {
    expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version).toBe(VERSION);
  });
});
