/** Applications: zip packages by id and version that the mesh keeps, and that pools and tasks refer to. */
import { ID_LENGTH_MAX } from '../lib/limits.ts';
import type { ApplicationPackageReference } from './application-schema.ts';
import type { EntityStamp } from './commands.ts';

/** Azure's: the letters of an id, and dots. Neither `.` nor `..`, for a version is also a directory's name. */
export const VERSION_PATTERN = '^(?!\\.{1,2}$)[A-Za-z0-9._-]+$';
const VERSION_SHAPE = new RegExp(VERSION_PATTERN);

export interface ApplicationPackage {
  readonly version: string;
  /** Of the zip file's content. */
  readonly manifest: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** Ids and versions keep their case and are unique without it. */
export interface ApplicationRecord extends EntityStamp {
  readonly id: string;
  readonly displayName?: string;
  /** For references that name no version. */
  readonly defaultVersion?: string;
  /** Whether a version that is there may be replaced. */
  readonly allowUpdates: boolean;
  readonly createdAtMs: number;
  /** In the order in which they were first put. */
  readonly packages: readonly ApplicationPackage[];
}

export function isValidVersion(version: string): boolean {
  return version.length <= ID_LENGTH_MAX && VERSION_SHAPE.test(version);
}

/** The package that a reference means; undefined where there is none. */
export function packageOf(
  application: ApplicationRecord | undefined,
  version: string | undefined = application?.defaultVersion,
): ApplicationPackage | undefined {
  const wanted = version?.toLowerCase();
  return application?.packages.find((one) => one.version.toLowerCase() === wanted);
}

/** A reference as people write it: `blender 2.7`, or `blender` for the default version. */
export function describeReference({ applicationId, version }: ApplicationPackageReference): string {
  return version === undefined ? applicationId : `${applicationId} ${version}`;
}
