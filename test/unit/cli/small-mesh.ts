/**
 * A mesh of one process: the routes that the command line uses, over a real unix socket. Tasks are real processes of
 * /bin/sh in directories of their own, as many at a time as there are slots.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

interface Task {
  readonly spec: TaskBody;
  state: 'active' | 'running' | 'completed';
  exitCode?: number;
  child?: ChildProcess;
  readonly directory: string;
}

interface TaskBody {
  readonly id: string;
  readonly commandLine: string;
  readonly resourceFiles?: readonly { httpUrl: string; filePath: string }[];
  readonly outputFiles?: readonly {
    filePattern: string;
    destination: { container: { containerUrl: string; path: string } };
  }[];
}

interface Job {
  readonly spec: Record<string, unknown>;
  state: 'active' | 'completed';
  readonly tasks: Map<string, Task>;
}

type Handler = (match: RegExpExecArray, body: Buffer, query: URLSearchParams) => Promise<Reply> | Reply;
interface Reply {
  readonly status?: number;
  readonly json?: unknown;
  readonly bytes?: AsyncIterable<Uint8Array> | Uint8Array;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

const PAGE = 3;

export class SmallMesh {
  readonly root: string;
  slots = 2;
  readonly jobs = new Map<string, Job>();
  readonly blobs = new Map<string, Map<string, Buffer>>();
  readonly requests: string[] = [];
  /** Anything else that a test wants answered: `GET /path` -> body. */
  readonly extra = new Map<string, unknown>();
  /** How many followed files lose their connection after their first bytes. */
  cuts = 0;
  /** A request that is never answered. */
  stuck = '';
  readonly #server: http.Server;
  readonly #routes: readonly (readonly [string, RegExp, Handler])[];

  private constructor(root: string) {
    this.root = root;
    this.#routes = this.#table();
    this.#server = http.createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<SmallMesh> {
    const mesh = new SmallMesh(await mkdtemp(path.join(tmpdir(), 'shoal-cli-')));
    await new Promise<void>((resolve) => mesh.#server.listen(path.join(mesh.root, 'api.sock'), resolve));
    return mesh;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    for (const job of this.jobs.values()) {
      job.state = 'completed';
      this.#kill(job);
    }
    await rm(this.root, { recursive: true, force: true });
  }

  get runningProcesses(): number {
    return [...this.jobs.values()]
      .flatMap((job) => [...job.tasks.values()])
      .filter((one) => one.state === 'running').length;
  }

  // --- Tasks ------------------------------------------------------------------------------------------------------

  async #addTasks(jobId: string, specs: readonly TaskBody[]): Promise<void> {
    const job = this.#job(jobId);
    for (const spec of specs) {
      const directory = path.join(this.root, 'work', jobId, spec.id);
      await mkdir(path.join(directory, 'wd'), { recursive: true });
      job.tasks.set(spec.id, { spec, state: 'active', directory });
    }
    this.#schedule(job);
  }

  #schedule(job: Job): void {
    for (const task of job.tasks.values()) {
      if (this.runningProcesses >= this.slots || job.state === 'completed') return;
      if (task.state === 'active') this.#launch(job, task);
    }
  }

  #launch(job: Job, task: Task): void {
    task.state = 'running';
    void (async () => {
      for (const input of task.spec.resourceFiles ?? []) {
        const file = path.join(task.directory, 'wd', input.filePath);
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, this.#blob(input.httpUrl));
      }
      const redirected = `exec >'${task.directory}/stdout.txt' 2>'${task.directory}/stderr.txt'; ${task.spec.commandLine}`;
      const child = spawn('/bin/sh', ['-c', redirected], {
        cwd: path.join(task.directory, 'wd'),
        stdio: 'ignore',
        detached: true,
      });
      task.child = child;
      await new Promise<void>((resolve) =>
        child.on('exit', (code) => {
          task.exitCode = code ?? 137;
          resolve();
        }),
      );
      if (task.exitCode === 0) await this.#keepOutputs(task);
      task.state = 'completed';
      this.#schedule(job);
      const over = [...job.tasks.values()].every((one) => one.state === 'completed');
      if (over && job.spec.onAllTasksComplete === 'terminatejob') job.state = 'completed';
    })();
  }

  async #keepOutputs(task: Task): Promise<void> {
    for (const output of task.spec.outputFiles ?? []) {
      const { containerUrl, path: place } = output.destination.container;
      const container = this.#container(containerUrl.replace('mesh://', ''));
      const names = await readdir(path.join(task.directory, 'wd'));
      const isPattern = /[*?[]/.test(output.filePattern);
      const shape = new RegExp(`^${output.filePattern.replace(/[.]/g, '\\.').replace(/(?<!\[)\*/g, '.*')}$`);
      for (const name of names.filter((one) => shape.test(one))) {
        const content = await readFile(path.join(task.directory, 'wd', name));
        container.set(isPattern ? `${place}/${name}` : place, content);
      }
    }
  }

  #kill(job: Job): void {
    for (const { child, state } of job.tasks.values()) {
      if (state !== 'running' || child?.pid === undefined) continue;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself just now.
      }
    }
  }

  #render({ spec, state, exitCode }: Task): unknown {
    const result = state !== 'completed' ? {} : { exitCode, result: exitCode === 0 ? 'success' : 'failure' };
    return {
      id: spec.id,
      commandLine: spec.commandLine,
      state,
      executionInfo: { retryCount: 0, ...result },
      shoal: { epoch: 1 },
    };
  }

  #counts(job: Job): Record<string, number> {
    const all = [...job.tasks.values()];
    const count = (test: (task: Task) => boolean): number => all.filter(test).length;
    return {
      active: count((task) => task.state === 'active'),
      running: count((task) => task.state === 'running'),
      completed: count((task) => task.state === 'completed'),
      succeeded: count((task) => task.state === 'completed' && task.exitCode === 0),
      failed: count((task) => task.state === 'completed' && task.exitCode !== 0),
    };
  }

  async *#follow(task: Task, file: string): AsyncGenerator<Uint8Array> {
    let at = 0;
    for (;;) {
      const { state } = task;
      const size = (await stat(path.join(task.directory, file)).catch(() => undefined))?.size ?? 0;
      if (size > at) {
        yield* createReadStream(path.join(task.directory, file), { start: at, end: size - 1 });
        at = size;
      } else if (state === 'completed') return;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  // --- HTTP -------------------------------------------------------------------------------------------------------

  #job(id: string): Job {
    const job = this.jobs.get(id);
    if (job === undefined) throw new Refusal(404, 'JobNotFound');
    return job;
  }

  #task(job: string, id: string): Task {
    const task = this.#job(job).tasks.get(id);
    if (task === undefined) throw new Refusal(404, 'TaskNotFound');
    return task;
  }

  #container(name: string): Map<string, Buffer> {
    const container = this.blobs.get(name);
    if (container === undefined) throw new Refusal(404, 'ContainerNotFound');
    return container;
  }

  #blob(url: string): Buffer {
    const [, container = '', name = ''] = /^mesh:\/\/([^/]+)\/(.*)$/.exec(url) ?? [];
    const blob = this.#container(container).get(name);
    if (blob === undefined) throw new Refusal(404, 'BlobNotFound');
    return blob;
  }

  #page(items: readonly unknown[], target: string, query: URLSearchParams): Reply {
    const start = Number(query.get('$skiptoken') ?? 0);
    const value = items.slice(start, start + PAGE);
    const next =
      start + PAGE < items.length ? { 'odata.nextLink': `http://x${target}?$skiptoken=${start + PAGE}` } : {};
    return { json: { value, ...next } };
  }

  #table(): readonly (readonly [string, RegExp, Handler])[] {
    const list = (job: string, query: URLSearchParams): Reply => {
      const failed = query.get('$filter')?.includes("'failure'") === true;
      const tasks = [...this.#job(job).tasks.values()].filter(
        (task) => !failed || (task.exitCode ?? 0) !== 0,
      );
      return this.#page(
        tasks.map((task) => this.#render(task)),
        `/jobs/${job}/tasks`,
        query,
      );
    };
    return [
      [
        'POST',
        /^\/jobs$/,
        (_, body) => {
          const spec = JSON.parse(body.toString()) as { id: string };
          if (this.jobs.has(spec.id)) throw new Refusal(409, 'JobExists');
          this.jobs.set(spec.id, { spec, state: 'active', tasks: new Map() });
          return { status: 201 };
        },
      ],
      [
        'GET',
        /^\/jobs$/,
        (_m, _b, query) =>
          this.#page(
            [...this.jobs].map(([id, job]) => ({ id, state: job.state })),
            '/jobs',
            query,
          ),
      ],
      ['GET', /^\/jobs\/([^/]+)$/, ([, id = '']) => ({ json: { id, state: this.#job(id).state } })],
      [
        'PATCH',
        /^\/jobs\/([^/]+)$/,
        ([, id = ''], body) => {
          const job = this.#job(id);
          Object.assign(job.spec, JSON.parse(body.toString()));
          if ([...job.tasks.values()].every((task) => task.state === 'completed')) job.state = 'completed';
          return {};
        },
      ],
      [
        'DELETE',
        /^\/jobs\/([^/]+)$/,
        ([, id = '']) => {
          this.#kill(this.#job(id));
          this.jobs.delete(id);
          return { status: 202 };
        },
      ],
      [
        'POST',
        /^\/jobs\/([^/]+)\/terminate$/,
        ([, id = '']) => {
          const job = this.#job(id);
          job.state = 'completed';
          this.#kill(job);
          return { status: 202 };
        },
      ],
      [
        'GET',
        /^\/jobs\/([^/]+)\/taskcounts$/,
        ([, id = '']) => ({ json: { taskCounts: this.#counts(this.#job(id)) } }),
      ],
      [
        'POST',
        /^\/jobs\/([^/]+)\/addtaskcollection$/,
        async ([, id = ''], body) => {
          const { value } = JSON.parse(body.toString()) as { value: TaskBody[] };
          await this.#addTasks(id, value);
          return { json: { value: value.map((task) => ({ taskId: task.id, status: 'success' })) } };
        },
      ],
      ['GET', /^\/jobs\/([^/]+)\/tasks$/, ([, id = ''], _, query) => list(id, query)],
      [
        'GET',
        /^\/jobs\/([^/]+)\/tasks\/([^/]+)$/,
        ([, job = '', id = '']) => ({ json: this.#render(this.#task(job, id)) }),
      ],
      [
        'GET',
        /^\/jobs\/([^/]+)\/tasks\/([^/]+)\/files\/(.+)$/,
        async ([, job = '', id = '', file = '']) => {
          const bytes = await readFile(path.join(this.#task(job, id).directory, file)).catch(() => undefined);
          if (bytes === undefined) throw new Refusal(404, 'FileNotFound');
          return { bytes };
        },
      ],
      [
        'GET',
        /^\/shoal\/v1\/jobs\/([^/]+)\/tasks\/([^/]+)\/follow$/,
        ([, job = '', id = ''], _, query) => ({
          bytes: this.#follow(this.#task(job, id), query.get('file') ?? ''),
        }),
      ],
      [
        'GET',
        /^\/shoal\/v1\/containers$/,
        () => ({
          json: {
            items: [...this.blobs].map(([name, blobs]) => ({
              name,
              blobs: blobs.size,
              sizeBytes: 0,
              createdAtMs: Date.now(),
            })),
          },
        }),
      ],
      [
        'PUT',
        /^\/shoal\/v1\/containers\/([^/]+)$/,
        ([, name = '']) => {
          if (this.blobs.has(name)) throw new Refusal(409, 'ContainerExists');
          this.blobs.set(name, new Map());
          return { status: 201 };
        },
      ],
      [
        'DELETE',
        /^\/shoal\/v1\/containers\/([^/]+)$/,
        ([, name = '']) => {
          this.#container(name);
          this.blobs.delete(name);
          return { status: 204 };
        },
      ],
      [
        'GET',
        /^\/shoal\/v1\/containers\/([^/]+)\/blobs$/,
        ([, name = ''], _, query) => {
          const names = [...this.#container(name).keys()]
            .sort()
            .filter((one) => one.startsWith(query.get('prefix') ?? '') && one > (query.get('after') ?? ''));
          const items = names.slice(0, PAGE).map((one) => ({
            container: name,
            name: one,
            sizeBytes: this.#container(name).get(one)?.length,
            modifiedAtMs: Date.now(),
            holders: ['m'],
            manifest: '',
          }));
          return { json: names.length > PAGE ? { items, next: names[PAGE - 1] } : { items } };
        },
      ],
      [
        'PUT',
        /^\/shoal\/v1\/containers\/([^/]+)\/blobs\/(.+)$/,
        ([, name = '', blob = ''], body, query) => {
          if (query.get('create') === 'true' && !this.blobs.has(name)) this.blobs.set(name, new Map());
          this.#container(name).set(decodeURIComponent(blob), body);
          return { status: 201 };
        },
      ],
      [
        'GET',
        /^\/shoal\/v1\/containers\/([^/]+)\/blobs\/(.+)$/,
        ([, name = '', blob = '']) => ({
          bytes: this.#blob(`mesh://${name}/${decodeURIComponent(blob)}`),
        }),
      ],
      [
        'DELETE',
        /^\/shoal\/v1\/containers\/([^/]+)\/blobs\/(.+)$/,
        ([, name = '', blob = '']) => {
          this.#container(name).delete(decodeURIComponent(blob));
          return { status: 204 };
        },
      ],
    ];
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://x');
    this.requests.push(`${request.method} ${url.pathname}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (this.requests.at(-1) === this.stuck) return;
    try {
      const reply = await this.#handle(request.method ?? '', url, body);
      response.statusCode = reply.status ?? 200;
      if (reply.json !== undefined) response.end(JSON.stringify(reply.json));
      else if (reply.bytes === undefined) response.end();
      else if (reply.bytes instanceof Uint8Array)
        response.setHeader('content-length', reply.bytes.length).end(reply.bytes);
      else {
        for await (const chunk of reply.bytes) {
          if (response.destroyed) break;
          await new Promise((resolve) => response.write(chunk, resolve));
          if (this.cuts > 0) {
            this.cuts -= 1;
            response.socket?.destroy();
          }
        }
        response.end();
      }
    } catch (error) {
      const { status, code } = error instanceof Refusal ? error : new Refusal(500, String(error));
      response.writeHead(status).end(JSON.stringify({ code, message: { value: `It is ${code}.` } }));
    }
  }

  #handle(method: string, url: URL, body: Buffer): Promise<Reply> | Reply {
    const prepared = this.extra.get(`${method} ${url.pathname}`);
    if (prepared !== undefined) return { json: prepared };
    for (const [wanted, pattern, handler] of this.#routes) {
      const match = wanted === method ? pattern.exec(url.pathname) : null;
      if (match !== null) return handler(match, body, url.searchParams);
    }
    throw new Refusal(404, 'InvalidUri');
  }
}
