import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { ShoalError } from '../../lib/errors.ts';
import { type ApplicationPackage, type ApplicationRecord, isValidVersion } from '../../model/application.ts';
import { action, type CliContext, type Run } from '../action.ts';
import { ago, bytes } from '../cells.ts';
import { withExamples } from '../examples.ts';
import { readFileExactly } from '../local-files.ts';
import { TransferProgress } from '../transfer-progress.ts';
import { id, nonEmpty } from '../values.ts';

export function addAppCommands(program: Command, context: CliContext): void {
  const app = program
    .command('app')
    .description('application packages: zip files that nodes unpack for pools and tasks');
  addPut(app, context);
  addList(app, context);
  addShow(app, context);
  addDefault(app, context);
  addRemove(app, context);
}

function addPut(app: Command, context: CliContext): void {
  withExamples(
    app
      .command('put')
      .description('store a version of an application; one that is there is replaced')
      .argument('<app>', 'its id', id)
      .argument('<version>', 'letters, digits, dots, dashes and underscores', version)
      .argument('<file>', 'the zip file', nonEmpty)
      .option('--default', 'also make it the version of those who name none')
      .action(action<[string, string, string, { default?: true }]>(context, putPackage)),
    [
      ['shoal app put blender 4.2 blender.zip', 'a first version, or one more'],
      ['shoal app put blender 4.3 blender.zip --default', 'and what everybody gets from now on'],
    ],
  );
}

function addList(app: Command, context: CliContext): void {
  withExamples(
    app
      .command('list')
      .description('every application')
      .action(
        action(context, async (run) => {
          await run.output.rows(await run.client.applications.list({ signal: run.signal }), [
            { title: 'ID', value: (row) => row.id },
            { title: 'DEFAULT', value: (row) => row.defaultVersion },
            { title: 'VERSIONS', value: (row) => row.packages.map((one) => one.version).join(', ') },
            { title: 'SIZE', value: (row) => bytes(sizeOf(row)) },
          ]);
        }),
      ),
    [['shoal app list', 'ids, versions, sizes']],
  );
}

function addShow(app: Command, context: CliContext): void {
  withExamples(
    app
      .command('show')
      .description('the versions of an application')
      .argument('<app>', 'its id', nonEmpty)
      .action(
        action<[string]>(context, async (run, application) => {
          const found = await run.client.applications.get(application, { signal: run.signal });
          if (run.output.format !== 'table') return run.output.record(found, []);
          await run.output.rows<ApplicationPackage>(found.packages, [
            { title: 'VERSION', value: (row) => row.version },
            { title: 'DEFAULT', value: (row) => (row.version === found.defaultVersion ? 'yes' : '') },
            { title: 'SIZE', value: (row) => bytes(row.sizeBytes) },
            { title: 'AGE', value: (row) => ago(row.modifiedAtMs, Date.now()) },
          ]);
        }),
      ),
    [['shoal app show blender', 'which there are, and which is the default']],
  );
}

function addDefault(app: Command, context: CliContext): void {
  withExamples(
    app
      .command('default')
      .description('choose the version of pools and tasks that name none')
      .argument('<app>', 'its id', nonEmpty)
      .argument('<version>', 'one that it has', version)
      .action(
        action<[string, string]>(context, async (run, application, defaultVersion) => {
          await run.client.applications.update(application, { defaultVersion }, { signal: run.signal });
          await run.output.done(`${application} is ${defaultVersion} for all who name no version.`, {
            application,
            defaultVersion,
          });
        }),
      ),
    [['shoal app default blender 4.2', 'back to the older one']],
  );
}

function addRemove(app: Command, context: CliContext): void {
  withExamples(
    app
      .command('rm')
      .description('delete a version, or an application with all it has; refused while a pool refers to it')
      .argument('<app>', 'its id', nonEmpty)
      .argument('[version]', 'only this one', version)
      .action(
        action<[string, string | undefined]>(context, async (run, application, gone) => {
          const options = { signal: run.signal };
          if (gone === undefined) await run.client.applications.delete(application, options);
          else await run.client.applications.deleteVersion(application, gone, options);
          const what = gone === undefined ? application : `${application} ${gone}`;
          await run.output.done(`${what} is deleted.`, {
            application,
            ...(gone === undefined ? {} : { version: gone }),
            deleted: true,
          });
        }),
      ),
    [
      ['shoal app rm blender 4.1', 'one version'],
      ['shoal app rm blender', 'all of it'],
    ],
  );
}

async function putPackage(
  run: Run,
  application: string,
  packageVersion: string,
  file: string,
  options: { default?: true },
): Promise<void> {
  const source = path.resolve(run.world.directory, file);
  const sizeBytes = await sizeOfZip(source);
  const progress = new TransferProgress(run, 'put', sizeBytes);
  const read = (): AsyncIterable<Uint8Array> =>
    readFileExactly(source, sizeBytes, (count) => progress.add(count));
  try {
    await run.client.applications.put(
      application,
      packageVersion,
      { open: read, length: sizeBytes },
      { signal: run.signal, makeDefault: options.default === true },
    );
  } finally {
    progress.end();
  }
  await run.output.done(`${application} ${packageVersion} (${bytes(sizeBytes)}) stored.`, {
    application,
    version: packageVersion,
    sizeBytes,
  });
}

/** Beginnings of zip files: of one with entries, and of an empty one. */
const ZIP_MAGIC = ['PK\x03\x04', 'PK\x05\x06'];

/** What is no zip file is better refused here than on every node. */
async function sizeOfZip(source: string): Promise<number> {
  const status = await stat(source).catch((cause: unknown) => {
    throw new ShoalError('InvalidArgument', `${source} cannot be read.`, { Path: source }, { cause });
  });
  const handle = status.isFile() ? await open(source) : undefined;
  try {
    const { buffer, bytesRead } = (await handle?.read(Buffer.alloc(4), 0, 4, 0)) ?? {};
    const begins = buffer?.toString('latin1', 0, bytesRead) ?? '';
    if (ZIP_MAGIC.includes(begins)) return status.size;
  } finally {
    await handle?.close();
  }
  throw new ShoalError('InvalidArgument', `${source} is no zip file.`, { Path: source });
}

function sizeOf({ packages }: ApplicationRecord): number {
  return packages.reduce((sum, one) => sum + one.sizeBytes, 0);
}

function version(text: string): string {
  if (isValidVersion(text)) return text;
  throw new InvalidArgumentError('A version is 1 to 64 letters, digits, dots, dashes and underscores.');
}
