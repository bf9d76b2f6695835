/** Our routes of applications: what Azure leaves to its management plane. */
import { ShoalError } from '../../lib/errors.ts';
import { APPLICATION_PACKAGE_BYTES_MAX } from '../../lib/limits.ts';
import { isValidVersion } from '../../model/application.ts';
import { ApplicationPatch } from '../../model/application-schema.ts';
import { isValidId, MESH_GROUP } from '../../model/ids.ts';
import { unwrap } from '../../model/outcome.ts';
import type { ApiContext } from '../context.ts';
import { tooLarge } from '../json-body.ts';
import { type Answer, type Call, empty, json, param, type Route } from '../route.ts';
import type { MeshStampCommand } from '../stamps.ts';
import { guardUpload } from '../upload.ts';
import { bodyReader } from '../validate.ts';
import { itemsAnswer } from './items.ts';

const readPatch = bodyReader(ApplicationPatch);

export function shoalApplicationRoutes(context: ApiContext): readonly Route[] {
  const applications = new ApplicationHandlers(context);
  const all = '/shoal/v1/applications';
  const one = `${all}/:application`;
  const version = `${one}/:version`;
  return [
    { method: 'GET', path: all, name: 'Shoal_ListApplications', handle: applications.list },
    { method: 'GET', path: one, name: 'Shoal_GetApplication', handle: applications.get },
    { method: 'PATCH', path: one, name: 'Shoal_UpdateApplication', handle: applications.update },
    { method: 'DELETE', path: one, name: 'Shoal_DeleteApplication', handle: applications.delete },
    {
      method: 'PUT',
      path: version,
      name: 'Shoal_PutApplicationPackage',
      query: ['default'],
      body: 'stream',
      handle: applications.put,
    },
    { method: 'DELETE', path: version, name: 'Shoal_DeleteApplicationPackage', handle: applications.delete },
  ];
}

class ApplicationHandlers {
  readonly #context: ApiContext;

  constructor(context: ApiContext) {
    this.#context = context;
  }

  list = async (call: Call): Promise<Answer> =>
    itemsAnswer(await this.#context.control.query(MESH_GROUP, 'application.list', {}, call.options()));

  get = async (call: Call): Promise<Answer> => {
    const request = { application: param(call, 'application') };
    return json(await this.#context.control.query(MESH_GROUP, 'application.get', request, call.options()));
  };

  put = async (call: Call): Promise<Answer> => {
    const { application, version } = packageOfPath(call);
    const makeDefault = call.query.boolean('default');
    const length = Number(call.headers['content-length'] ?? 0);
    if (length > APPLICATION_PACKAGE_BYTES_MAX) throw tooLarge(APPLICATION_PACKAGE_BYTES_MAX);
    const body = guardUpload(call.stream, APPLICATION_PACKAGE_BYTES_MAX, this.#context.clock);
    const options = { signal: call.signal, makeDefault };
    try {
      return json(await this.#context.control.files.putPackage(application, version, body, options), {}, 201);
    } finally {
      body.destroy();
    }
  };

  update = async (call: Call): Promise<Answer> => {
    const patch = readPatch(call.body);
    await this.#propose(call, {
      kind: 'application.update',
      application: param(call, 'application'),
      patch,
    });
    return empty(204);
  };

  delete = async (call: Call): Promise<Answer> => {
    const { version } = call.params;
    await this.#propose(call, {
      kind: 'application.delete',
      application: param(call, 'application'),
      ...(version === undefined ? {} : { version }),
    });
    return empty(204);
  };

  async #propose(call: Call, command: MeshStampCommand): Promise<void> {
    unwrap(await this.#context.control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
  }
}

/** Checked before the body is taken in: an upload may last for minutes. */
function packageOfPath(call: Call): { readonly application: string; readonly version: string } {
  const application = param(call, 'application');
  const version = param(call, 'version');
  if (isValidId(application) && isValidVersion(version)) return { application, version };
  throw new ShoalError(
    'InvalidArgument',
    'The id of an application has 1 to 64 letters, digits, dashes and underscores, and a version may also have dots.',
    { Application: application.slice(0, 128), Version: version.slice(0, 128) },
  );
}
