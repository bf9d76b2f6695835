/** `api-version`: which of Azure Batch's wire formats the client speaks. */
import { ShoalError } from '../lib/errors.ts';

/**
 * `flat`: 2020-03-01.11.0, whose pools have maxTasksPerNode and whose task counts are not nested. `later`: after the
 * reference, so that not everything of it is known here.
 */
export type ApiVersion = 'flat' | 'slots' | 'later';

const SHAPE = /^(\d{4})-(\d{2})-(\d{2})(?:\.\d{1,4}){0,2}$/;
const OLDEST = '2020-03-01';
const REFERENCE = '2022-10-01';

/**
 * The reference is 2022-10-01.16.0. Later ones are read leniently, since what of them would change a meaning is known by
 * name and refused. Throws `MissingRequiredQueryParameter` or `UnsupportedRequestVersion`.
 */
export function readApiVersion(text: string | undefined): ApiVersion {
  if (text === undefined) {
    throw new ShoalError(
      'MissingRequiredQueryParameter',
      'The query parameter api-version was not specified.',
      {
        QueryParameterName: 'api-version',
      },
    );
  }
  const match = SHAPE.exec(text);
  const date = match === null ? '' : `${match[1]}-${match[2]}-${match[3]}`;
  if (date < OLDEST) {
    throw new ShoalError(
      'UnsupportedRequestVersion',
      `The api-version is not supported; 2022-10-01.16.0 is.`,
      {
        QueryParameterName: 'api-version',
        QueryParameterValue: text.slice(0, 64),
      },
    );
  }
  if (date > REFERENCE) return 'later';
  return date === OLDEST ? 'flat' : 'slots';
}
