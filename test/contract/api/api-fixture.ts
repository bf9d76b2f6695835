/** An API over a `LocalControl`, and a way to ask it. */
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { type ApiServer, createApi } from '../../../src/api/server.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { LocalControl } from './local-control.ts';

export const VERSION = '2022-10-01.16.0';

export interface Answer {
  readonly status: number;
  readonly headers: LightMyRequestResponse['headers'];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers member by member.
  readonly body: any;
}

export interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly payload?: InjectOptions['payload'];
  /** `null`: none. */
  readonly version?: string | null;
}

export class ApiFixture {
  readonly control: LocalControl;
  readonly api: ApiServer;
  /** What went to the log as an error. */
  readonly logged: object[] = [];

  constructor(clock: Clock = systemClock, cpuUsedMs?: () => number) {
    this.control = new LocalControl();
    const log = { debug: () => undefined, error: (data: object) => this.logged.push(data) };
    this.api = createApi({ control: this.control, log, clock, ...(cpuUsedMs && { cpuUsedMs }) });
  }

  /** `path` may have a query of its own. */
  async ask(method: NonNullable<InjectOptions['method']>, path: string, asked: Asked = {}): Promise<Answer> {
    const version = asked.version === undefined ? VERSION : asked.version;
    const needsVersion = version !== null && !path.startsWith('/shoal/') && !path.includes('api-version');
    const url = needsVersion ? `${path}${path.includes('?') ? '&' : '?'}api-version=${version}` : path;
    const json = asked.json === undefined ? undefined : JSON.stringify(asked.json);
    const payload = asked.payload ?? json;
    const response = await this.api.inject({
      method,
      url,
      headers: {
        host: 'localhost:8000',
        ...(json !== undefined && {
          'content-type': 'application/json; odata=minimalmetadata; charset=utf-8',
        }),
        ...asked.headers,
      },
      ...(payload !== undefined && { payload }),
    });
    return answerOf(response.statusCode, response.headers, response.payload);
  }

  /** Pool `p` of one node with four slots. */
  async withNode(): Promise<string> {
    await this.ask('POST', '/pools', {
      json: { id: 'p', vmSize: 'machine', targetDedicatedNodes: 1, taskSlotsPerNode: 4 },
    });
    return this.control.addNode('p');
  }

  /** Job `j` on pool `p`. */
  async withJob(extra: object = {}): Promise<void> {
    const answer = await this.ask('POST', '/jobs', {
      json: { id: 'j', poolInfo: { poolId: 'p' }, ...extra },
    });
    if (answer.status !== 201) throw new Error(answer.text);
  }

  async withTask(id: string, extra: object = {}): Promise<void> {
    const answer = await this.ask('POST', '/jobs/j/tasks', {
      json: { id, commandLine: '/bin/true', ...extra },
    });
    if (answer.status !== 201) throw new Error(answer.text);
  }
}

function answerOf(status: number, headers: LightMyRequestResponse['headers'], text: string): Answer {
  const isJson = String(headers['content-type'] ?? '').startsWith('application/json');
  return { status, headers, text, body: isJson && text !== '' ? JSON.parse(text) : undefined };
}
