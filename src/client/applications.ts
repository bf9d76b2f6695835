import type { ApplicationRecord } from '../model/application.ts';
import type { ApplicationPatch } from '../model/application-schema.ts';
import type { Caller, CallOptions } from './caller.ts';
import { type ItemsAnswer, itemsOf } from './items.ts';
import { route } from './route.ts';

const ALL = '/shoal/v1/applications';

/** Applications and their packages. */
export class ApplicationCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async list(options: CallOptions = {}): Promise<readonly ApplicationRecord[]> {
    return itemsOf(
      await this.#caller.json<ItemsAnswer<ApplicationRecord>>({ method: 'GET', path: ALL, ...options }),
    );
  }

  get(application: string, options: CallOptions = {}): Promise<ApplicationRecord> {
    return this.#caller.json({
      method: 'GET',
      path: route`/shoal/v1/applications/${application}`,
      ...options,
    });
  }

  /** Stores a zip file of `length` bytes; `open` is called again if the upload is repeated. Makes the application if it is missing. */
  async put(
    application: string,
    version: string,
    content: { readonly open: () => AsyncIterable<Uint8Array>; readonly length: number },
    options: CallOptions & { readonly makeDefault?: boolean } = {},
  ): Promise<void> {
    const { makeDefault, ...rest } = options;
    const path = route`/shoal/v1/applications/${application}/${version}`;
    await this.#caller.run({ method: 'PUT', path, query: { default: makeDefault }, bytes: content, ...rest });
  }

  async update(application: string, patch: ApplicationPatch, options: CallOptions = {}): Promise<void> {
    const path = route`/shoal/v1/applications/${application}`;
    await this.#caller.run({ method: 'PATCH', path, json: patch, ...options });
  }

  /** With all its versions. */
  async delete(application: string, options: CallOptions = {}): Promise<void> {
    const path = route`/shoal/v1/applications/${application}`;
    await this.#caller.run({ method: 'DELETE', path, ...options });
  }

  async deleteVersion(application: string, version: string, options: CallOptions = {}): Promise<void> {
    const path = route`/shoal/v1/applications/${application}/${version}`;
    await this.#caller.run({ method: 'DELETE', path, ...options });
  }
}
