/** What clients say of applications: references to their packages, and changes. */
import Type, { type Static } from 'typebox';
import { APPLICATION_PACKAGES_PER_ENTITY_MAX, ID_LENGTH_MAX } from '../lib/limits.ts';
import { VERSION_PATTERN } from './application.ts';
import { DisplayName, Id } from './schema.ts';

const strict = { additionalProperties: false } as const;

const Version = Type.String({ minLength: 1, maxLength: ID_LENGTH_MAX, pattern: VERSION_PATTERN });

export const ApplicationPackageReference = Type.Object(
  {
    applicationId: Id,
    /** Absent: the application's default version, as it is when the package is brought. */
    version: Type.Optional(Version),
  },
  strict,
);
export type ApplicationPackageReference = Static<typeof ApplicationPackageReference>;

export const ApplicationPackageReferences = Type.Array(ApplicationPackageReference, {
  maxItems: APPLICATION_PACKAGES_PER_ENTITY_MAX,
});

export const ApplicationPatch = Type.Object(
  {
    displayName: Type.Optional(DisplayName),
    defaultVersion: Type.Optional(Type.Union([Version, Type.Null()])),
    allowUpdates: Type.Optional(Type.Boolean()),
  },
  strict,
);
/** What is absent stays; a default version of null takes it away. */
export type ApplicationPatch = Static<typeof ApplicationPatch>;
