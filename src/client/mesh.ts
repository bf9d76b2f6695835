import type { LocalStatus, MeshEvent } from '../model/control.ts';
import type { GroupRecord, MachineEntity, TokenEntity } from '../model/queries.ts';
import type { Caller, CallOptions } from './caller.ts';
import { type ItemsAnswer, itemsOf } from './items.ts';
import { route } from './route.ts';
import { readEvents } from './server-sent-events.ts';

export interface CreatedToken {
  readonly id: string;
  /** The join token itself; it is shown this once. */
  readonly token: string;
  readonly expiresAtMs: number;
}

/** What a client of Azure Batch needs to be pointed at this agent. */
export interface AccountAnswer {
  readonly accountName: string;
  /** Base64. */
  readonly accountKey: string;
  /** Null where the agent listens on its unix socket only. */
  readonly url: string | null;
}

export interface AccessTokenAnswer {
  readonly token: string;
  readonly expiresAtMs: number;
}

export interface RecoveryAnswer {
  readonly lastIndex: number;
  readonly mayBeLost: string;
}

/** The mesh itself: this machine's view of it, machines, tokens, groups, events. */
export class MeshCalls {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** The agent that answers, as it sees itself. Needs no quorum. */
  status(options: CallOptions = {}): Promise<LocalStatus> {
    return this.#caller.json({ method: 'GET', path: '/shoal/v1/status', ...options });
  }

  /** The same, with the agent's wall clock as its answer has it, to a second. */
  async look(options: CallOptions = {}): Promise<{ status: LocalStatus; agentTimeMs: number | undefined }> {
    const path = '/shoal/v1/status';
    const { body, headers } = await this.#caller.jsonWithHeaders<LocalStatus>({
      method: 'GET',
      path,
      ...options,
    });
    const timeMs = Date.parse(headers.date ?? '');
    return { status: body, agentTimeMs: Number.isNaN(timeMs) ? undefined : timeMs };
  }

  account(options: CallOptions = {}): Promise<AccountAnswer> {
    return this.#caller.json({ method: 'GET', path: '/shoal/v1/account', ...options });
  }

  /** A bearer token for the whole account, or for one job. It is shown this once, and nothing can take it back. */
  createAccessToken(
    request: { readonly job?: string; readonly validMs?: number },
    options: CallOptions = {},
  ): Promise<AccessTokenAnswer> {
    const path = '/shoal/v1/access-tokens';
    return this.#caller.json({ method: 'POST', path, json: request, ...options });
  }

  /** PEM of the authority that signs the certificates of all peers. */
  async authority(options: CallOptions = {}): Promise<string> {
    const path = '/shoal/v1/authority';
    const answer = await this.#caller.json<{ certificate: string }>({ method: 'GET', path, ...options });
    return answer.certificate;
  }

  async machines(options: CallOptions = {}): Promise<readonly MachineEntity[]> {
    const path = '/shoal/v1/machines';
    return itemsOf(await this.#caller.json<ItemsAnswer<MachineEntity>>({ method: 'GET', path, ...options }));
  }

  /** The machine's nodes take no new tasks and leave when they are empty. `machine` is a name or an id. */
  async drain(machine: string, options: CallOptions = {}): Promise<void> {
    const path = route`/shoal/v1/machines/${machine}/drain`;
    await this.#caller.run({ method: 'POST', path, ...options });
  }

  async undrain(machine: string, options: CallOptions = {}): Promise<void> {
    const path = route`/shoal/v1/machines/${machine}/undrain`;
    await this.#caller.run({ method: 'POST', path, ...options });
  }

  /** Takes the machine off the allow-list: its connections are cut and its tasks run elsewhere. */
  async remove(machine: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/shoal/v1/machines/${machine}`, ...options });
  }

  async tokens(options: CallOptions = {}): Promise<readonly TokenEntity[]> {
    const path = '/shoal/v1/tokens';
    return itemsOf(await this.#caller.json<ItemsAnswer<TokenEntity>>({ method: 'GET', path, ...options }));
  }

  createToken(
    token: { readonly validMs: number; readonly uses: number },
    options: CallOptions = {},
  ): Promise<CreatedToken> {
    return this.#caller.json({ method: 'POST', path: '/shoal/v1/tokens', json: token, ...options });
  }

  async revokeToken(id: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.run({ method: 'DELETE', path: route`/shoal/v1/tokens/${id}`, ...options });
  }

  async groups(options: CallOptions = {}): Promise<readonly GroupRecord[]> {
    const path = '/shoal/v1/groups';
    return itemsOf(await this.#caller.json<ItemsAnswer<GroupRecord>>({ method: 'GET', path, ...options }));
  }

  /** Dry unless `confirmed`: then it only says what may be lost. */
  recover(group: string, confirmed: boolean, options: CallOptions = {}): Promise<RecoveryAnswer> {
    const path = '/shoal/v1/recover';
    return this.#caller.json({ method: 'POST', path, json: { group, confirmed }, ...options });
  }

  /** What happens on any machine, from now on. Ends when the agent ends the stream or the reader leaves the loop. */
  async *events(options: CallOptions = {}): AsyncGenerator<MeshEvent> {
    const answer = await this.#caller.stream({
      method: 'GET',
      path: '/shoal/v1/events',
      headers: { accept: 'text/event-stream' },
      endless: true,
      ...options,
    });
    for await (const event of readEvents(answer.body)) yield JSON.parse(event.data) as MeshEvent;
  }
}
