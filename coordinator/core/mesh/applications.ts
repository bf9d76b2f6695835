/**
 * Applications and their packages. A package names a content as a blob does: it is copied, repaired and kept by the same
 * rules, and its chunks may be collected only when neither a package nor a blob names them. There are 800 packages at
 * most, so a record is one row and all of it is in memory.
 */
import {
  APPLICATION_PACKAGE_BYTES_MAX,
  APPLICATION_PACKAGES_PER_ENTITY_MAX,
  APPLICATION_VERSIONS_MAX,
  APPLICATIONS_MAX,
} from '../../../src/lib/limits.ts';
import {
  type ApplicationPackage,
  type ApplicationRecord,
  describeReference,
  isValidVersion,
  packageOf,
} from '../../../src/model/application.ts';
import type { ApplicationPackageReference } from '../../../src/model/application-schema.ts';
import type { EntityStamp, MeshCommand, Outcome } from '../../../src/model/commands.ts';
import { idKey, isValidId } from '../../../src/model/ids.ts';
import { type Refusal, refuse } from '../refusal.ts';
import { type Contents, isManifest } from './contents.ts';
import { inKeyOrder } from './order.ts';
import type { Pools } from './pools.ts';
import { applicationRow } from './rows.ts';
import type { Turn } from './turn.ts';
import { refuseProperty } from './turn.ts';

type CommandOf<K extends MeshCommand['kind']> = Extract<MeshCommand, { kind: K }>;

export class Applications {
  readonly #byKey = new Map<string, ApplicationRecord>();
  readonly #contents: Contents;
  readonly #pools: Pools;

  constructor(contents: Contents, pools: Pools) {
    this.#contents = contents;
    this.#pools = pools;
  }

  load(record: ApplicationRecord): void {
    this.#byKey.set(idKey(record.id), record);
    for (const { manifest } of record.packages) this.#contents.loadReference(manifest);
  }

  all(): ApplicationRecord[] {
    return inKeyOrder(this.#byKey);
  }

  get(id: string): ApplicationRecord | undefined {
    return this.#byKey.get(idKey(id));
  }

  /** Makes the application where it is missing. The same content under the same version once more changes nothing but the default. */
  put(turn: Turn, command: CommandOf<'application.put'>): Outcome<EntityStamp> {
    const known = this.get(command.application);
    const before = packageOf(known, command.version);
    const refusal = this.#checkPut(command, known, before);
    if (refusal !== undefined) return refusal;
    const { version, manifest, sizeBytes, holders, makeDefault } = command;
    // The new content is named before the old one is let go: they may be the same.
    this.#contents.reference(turn, manifest, sizeBytes, holders);
    this.#release(turn, before);
    const added = { version: before?.version ?? version, manifest, sizeBytes, modifiedAtMs: turn.timeMs };
    const packages = known?.packages ?? [];
    turn.effect({ kind: 'blobsChanged' });
    turn.event('application.put', `The package ${command.application} ${version} was stored.`, {
      application: command.application,
      version,
    });
    return this.#set(turn, {
      id: command.application,
      allowUpdates: true,
      createdAtMs: turn.timeMs,
      ...known,
      ...(makeDefault ? { defaultVersion: added.version } : {}),
      packages:
        before === undefined ? [...packages, added] : packages.map((one) => (one === before ? added : one)),
    });
  }

  update(turn: Turn, { application: id, patch }: CommandOf<'application.update'>): Outcome<EntityStamp> {
    const application = this.get(id);
    if (application === undefined) return notFound(id);
    const { defaultVersion, ...rest } = patch;
    const { defaultVersion: _, ...kept } = application;
    if (defaultVersion === undefined) return this.#set(turn, { ...application, ...rest });
    if (defaultVersion === null)
      return (
        this.#checkUnused(application, ({ version }) => version === undefined, 'the default version of ') ??
        this.#set(turn, { ...kept, ...rest })
      );
    const named = packageOf(application, defaultVersion);
    if (named === undefined) return noVersion(application, defaultVersion);
    return this.#set(turn, { ...application, ...rest, defaultVersion: named.version });
  }

  /** One version, or all of it. Refused while a pool refers to what would go: its nodes that join later could not have it. */
  delete(turn: Turn, { application: id, version }: CommandOf<'application.delete'>): Outcome<EntityStamp> {
    const application = this.get(id);
    if (application === undefined) return notFound(id);
    const gone = version === undefined ? undefined : packageOf(application, version);
    if (version !== undefined && gone === undefined) return noVersion(application, version);
    const refusal = this.#checkUnused(
      application,
      (reference) => gone === undefined || packageOf(application, reference.version) === gone,
      gone === undefined ? '' : `version ${gone.version} of `,
    );
    if (refusal !== undefined) return refusal;
    turn.effect({ kind: 'blobsChanged' });
    if (gone !== undefined) {
      this.#release(turn, gone);
      const { defaultVersion, ...kept } = application;
      const stays = defaultVersion !== undefined && defaultVersion !== gone.version;
      return this.#set(turn, {
        ...kept,
        ...(stays ? { defaultVersion } : {}),
        packages: application.packages.filter((one) => one !== gone),
      });
    }
    for (const one of application.packages) this.#release(turn, one);
    this.#byKey.delete(idKey(id));
    turn.delete(applicationRow(id));
    return { ok: true, value: turn.stamp() };
  }

  /** Every reference of a pool means a package that is there. */
  checkReferences(references: readonly ApplicationPackageReference[] | undefined): Refusal | undefined {
    if (references === undefined) return undefined;
    if (references.length > APPLICATION_PACKAGES_PER_ENTITY_MAX) {
      return refuse(
        'InvalidApplicationPackageReferences',
        `A pool refers to at most ${APPLICATION_PACKAGES_PER_ENTITY_MAX} application packages.`,
      );
    }
    for (const reference of references) {
      const application = this.get(reference.applicationId);
      if (packageOf(application, reference.version) !== undefined) continue;
      return refuse('InvalidApplicationPackageReferences', whyMissing(application, reference), {
        ApplicationId: reference.applicationId,
        ...(reference.version === undefined ? {} : { Version: reference.version }),
      });
    }
    return undefined;
  }

  #checkPut(
    { application: id, version, manifest, sizeBytes, holders }: CommandOf<'application.put'>,
    known: ApplicationRecord | undefined,
    before: ApplicationPackage | undefined,
  ): Refusal | undefined {
    if (!isValidId(id))
      return refuseProperty('application', id, 'an id has 1 to 64 letters, digits, dashes and underscores.');
    if (!isValidVersion(version))
      return refuseProperty(
        'version',
        version,
        'a version has 1 to 64 letters, digits, dots, dashes and underscores.',
      );
    if (known === undefined && this.#byKey.size >= APPLICATIONS_MAX)
      return refuse('ApplicationQuotaReached', `A mesh has at most ${APPLICATIONS_MAX} applications.`);
    if (before === undefined && (known?.packages.length ?? 0) >= APPLICATION_VERSIONS_MAX)
      return refuse(
        'ApplicationQuotaReached',
        `An application has at most ${APPLICATION_VERSIONS_MAX} versions.`,
      );
    if (before !== undefined && known?.allowUpdates === false && before.manifest !== manifest) {
      return refuse(
        'OperationInvalidForCurrentState',
        `${known.id} ${before.version} is there, and the application does not allow updates of a version.`,
      );
    }
    if (!isManifest(manifest))
      return refuseProperty('manifest', manifest, 'it is no SHA-256 in hexadecimal.');
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > APPLICATION_PACKAGE_BYTES_MAX)
      return refuse('TooLarge', `A package has at most ${APPLICATION_PACKAGE_BYTES_MAX} bytes.`);
    return this.#contents.checkNaming(manifest, sizeBytes, holders, `the package ${id} ${version}`);
  }

  /** `uses`: of a reference to this application, whether it means what would go. */
  #checkUnused(
    application: ApplicationRecord,
    uses: (reference: ApplicationPackageReference) => boolean,
    what: string,
  ): Refusal | undefined {
    const isUser = (reference: ApplicationPackageReference): boolean =>
      idKey(reference.applicationId) === idKey(application.id) && uses(reference);
    const user = this.#pools
      .all()
      .find(({ spec, state }) => state !== 'deleting' && spec.applicationPackageReferences?.some(isUser));
    if (user === undefined) return undefined;
    return refuse(
      'OperationInvalidForCurrentState',
      `The pool ${user.spec.id} refers to ${what}${application.id}.`,
      { Pool: user.spec.id },
    );
  }

  #release(turn: Turn, gone: ApplicationPackage | undefined): void {
    const content = gone === undefined ? undefined : this.#contents.get(gone.manifest);
    if (content !== undefined) this.#contents.release(turn, content);
  }

  #set(turn: Turn, record: Omit<ApplicationRecord, keyof EntityStamp>): Outcome<EntityStamp> {
    const stamp = turn.stamp();
    const stamped = { ...record, ...stamp };
    this.#byKey.set(idKey(record.id), stamped);
    turn.put(applicationRow(record.id), stamped);
    return { ok: true, value: stamp };
  }
}

function whyMissing(
  application: ApplicationRecord | undefined,
  reference: ApplicationPackageReference,
): string {
  if (application === undefined) return `There is no application ${reference.applicationId}.`;
  return reference.version === undefined
    ? `The application ${application.id} has no default version, and the reference names none.`
    : `There is no application package ${describeReference(reference)}.`;
}

function notFound(id: string): Refusal {
  return refuse('ApplicationNotFound', `There is no application ${id}.`);
}

function noVersion(application: ApplicationRecord, version: string): Refusal {
  return refuse('ApplicationNotFound', `The application ${application.id} has no version ${version}.`);
}
