/**
 * Sends the log files of a node's agent to a container, as Azure Batch's uploadbatchservicelogs does: whichever machine is
 * asked, the one of the node sends its own. Its files are about the whole machine, not about one node.
 */
import { randomUUID } from 'node:crypto';
import { asShoalError, ShoalError } from '../../src/lib/errors.ts';
import { LOG_FILES_MAX, LOG_UPLOADS_MAX, REQUEST_WAIT_MS } from '../../src/lib/limits.ts';
import type { Log } from '../../src/lib/log.ts';
import { parseMeshUrl } from '../../src/model/blob.ts';
import type { CallOptions, LogUpload, UploadedLogs } from '../../src/model/control.ts';
import { peerOfMachine } from '../../src/model/ids.ts';
import { UPLOAD_LOGS_REQUEST, UploadLogs, UploadLogsAnswer } from '../../src/wire/files.ts';
import type { FileService } from '../files/interface.ts';
import { machineOfNode } from '../files/node-machine.ts';
import type { Surroundings } from '../files/surroundings.ts';
import { publicPart, uploadFile } from '../lifecycle/azure-container.ts';
import type { Reach } from '../lifecycle/reach.ts';
import { type FoundLog, openLogsOf } from './find-logs.ts';
import { logFilePaths } from './log-files.ts';

export interface NodeLogsInit {
  readonly self: Surroundings['self'];
  readonly transport: Pick<Surroundings['transport'], 'request' | 'onRequest'>;
  readonly coordinator: Surroundings['coordinator'];
  readonly files: Pick<FileService, 'putBlob'>;
  readonly reach: Reach;
  /** Of the agent's log files. */
  readonly directory: string;
  /** Other logs of this machine, by path. */
  readonly others: readonly string[];
  readonly log: Log;
}

interface Wish {
  readonly containerUrl: string;
  /** What the names of the blobs begin with. */
  readonly directory: string;
  readonly startMs: number;
  readonly endMs: number;
}

export class NodeLogs {
  readonly #init: NodeLogsInit;
  #uploads = 0;

  constructor(init: NodeLogsInit) {
    this.#init = init;
  }

  start(): void {
    const { transport, coordinator } = this.#init;
    transport.onRequest(UPLOAD_LOGS_REQUEST, async (from, payload, signal) => {
      coordinator.requireMember(from);
      return UploadLogsAnswer.encode({ files: await this.#uploadOwn(UploadLogs.decode(payload), signal) });
    });
  }

  /**
   * Throws NodeNotFound, NodeNotReady, and for the container ContainerNotFound, Forbidden, OperationTimedOut or
   * InvalidPropertyValue.
   */
  async upload(
    pool: string,
    node: string,
    { containerUrl, startMs, endMs }: LogUpload,
    options: CallOptions = {},
  ): Promise<UploadedLogs> {
    const { self, transport } = this.#init;
    const machine = await machineOfNode(this.#init, pool, node, options);
    const directory = `${pool}/${node}/${randomUUID()}`;
    const wish = { containerUrl, directory, startMs, endMs: endMs ?? Number.MAX_SAFE_INTEGER };
    const { timeoutMs = REQUEST_WAIT_MS, signal } = options;
    const timeout = AbortSignal.timeout(Math.ceil(timeoutMs));
    const until = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    if (machine === self) return { directory, files: await this.#uploadOwn(wish, until) };
    const answer = await transport.request(
      peerOfMachine(machine),
      UPLOAD_LOGS_REQUEST,
      UploadLogs.encode(wish),
      { timeoutMs, ...(signal !== undefined && { signal }) },
    );
    return { directory, files: UploadLogsAnswer.decode(answer).files };
  }

  async #uploadOwn(wish: Wish, signal: AbortSignal): Promise<number> {
    if (this.#uploads >= LOG_UPLOADS_MAX)
      throw new ShoalError(
        'TooManyRequests',
        `This machine sends its logs ${LOG_UPLOADS_MAX} times already.`,
      );
    this.#uploads += 1;
    const { directory, others, log } = this.#init;
    let found: readonly FoundLog[] = [];
    try {
      found = await openLogsOf([...logFilePaths(directory, LOG_FILES_MAX), ...others], wish);
      for (const one of found) await this.#send(one, wish, signal);
      log.info(
        { files: found.length, container: publicPart(wish.containerUrl), directory: wish.directory },
        'log files of this machine were sent, as a client asked',
      );
      return found.length;
    } catch (error) {
      throw withReason(error, wish.containerUrl);
    } finally {
      this.#uploads -= 1;
      await Promise.all(found.map(({ file }) => file.close()));
    }
  }

  async #send({ name, file }: FoundLog, wish: Wish, signal: AbortSignal): Promise<void> {
    const { files, reach } = this.#init;
    const { containerUrl, directory } = wish;
    const blob = `${directory}/${name}`;
    const own = parseMeshUrl(containerUrl)?.container;
    if (own === undefined) await uploadFile(file, containerUrl, blob, [], reach, signal);
    else await files.putBlob(own, blob, file.createReadStream({ autoClose: false }), { signal });
  }
}

/** What is wrong with the container is wrong with the request: a client that tries again hears the same. */
function withReason(error: unknown, containerUrl: string): ShoalError {
  const coded = asShoalError(error);
  if (coded.code !== 'InternalError') return coded;
  const values = {
    PropertyName: 'containerUrl',
    PropertyValue: publicPart(containerUrl),
    Reason: coded.message,
  };
  return new ShoalError('InvalidPropertyValue', `The logs could not be sent: ${coded.message}`, values, {
    cause: error,
  });
}
