import type { BlobRecord, ContainerRecord } from '../model/blob.ts';
import type { Caller, CallOptions } from './caller.ts';
import { type ItemsAnswer, itemsOf } from './items.ts';
import { encodePath, route } from './route.ts';
import type { HttpAnswer } from './transport.ts';

/** Items of one page of blobs. */
const PAGE_BLOBS = 1_000;

/** Containers and blobs in the mesh's own storage. */
export class BlobCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async containers(options: CallOptions = {}): Promise<readonly ContainerRecord[]> {
    const path = '/shoal/v1/containers';
    return itemsOf(
      await this.#caller.json<ItemsAnswer<ContainerRecord>>({ method: 'GET', path, ...options }),
    );
  }

  /** Rejects with `ContainerExists` where it does. */
  async createContainer(container: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'PUT', path: route`/shoal/v1/containers/${container}`, ...options });
  }

  /** With all that is in it. */
  async deleteContainer(container: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/shoal/v1/containers/${container}`, ...options });
  }

  /** Blobs whose name begins with `prefix`, in the order of their names. */
  async *list(container: string, prefix = '', options: CallOptions = {}): AsyncGenerator<BlobRecord> {
    const path = route`/shoal/v1/containers/${container}/blobs`;
    let after: string | undefined;
    do {
      const page: ItemsAnswer<BlobRecord> = await this.#caller.json<ItemsAnswer<BlobRecord>>({
        method: 'GET',
        path,
        query: { prefix: prefix === '' ? undefined : prefix, after, limit: PAGE_BLOBS },
        ...options,
      });
      yield* itemsOf(page);
      after = 'next' in page ? page.next : undefined;
    } while (after !== undefined);
  }

  /**
   * Stores what `open` yields, replacing what was there; answered once the bytes are held. `open` is called again if
   * the upload is repeated. `length` in bytes, where it is known. `create` makes the container if it is missing.
   */
  async put(
    container: string,
    name: string,
    content: { readonly open: () => AsyncIterable<Uint8Array>; readonly length?: number },
    options: CallOptions & { readonly create?: boolean } = {},
  ): Promise<void> {
    const { create, ...rest } = options;
    const path = blobPath(container, name);
    await this.#caller.run({ method: 'PUT', path, query: { create }, bytes: content, ...rest });
  }

  open(container: string, name: string, options: CallOptions = {}): Promise<HttpAnswer> {
    return this.#caller.stream({ method: 'GET', path: blobPath(container, name), ...options });
  }

  /** Size in bytes, without the bytes. */
  async size(container: string, name: string, options: CallOptions = {}): Promise<number> {
    const headers = await this.#caller.run({ method: 'HEAD', path: blobPath(container, name), ...options });
    return Number(headers['content-length'] ?? 0);
  }

  async delete(container: string, name: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: blobPath(container, name), ...options });
  }
}

function blobPath(container: string, name: string): string {
  return `${route`/shoal/v1/containers/${container}/blobs/`}${encodePath(name)}`;
}
