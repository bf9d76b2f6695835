/** `mesh://container/name`, or the same without `mesh://`. */
import { InvalidArgumentError } from 'commander';
import { isValidBlobName, isValidContainerName } from '../model/blob.ts';

export interface FileAddress {
  readonly container: string;
  /** A blob's name or the beginning of many; empty for all of the container. Never ends with a slash. */
  readonly path: string;
  /** Written with a slash at its end, or the container alone: a place for many. */
  readonly isDirectory: boolean;
}

export function parseFileAddress(text: string): FileAddress {
  const rest = text.replace(/^mesh:\/\//, '');
  const slash = rest.indexOf('/');
  const container = slash < 0 ? rest : rest.slice(0, slash);
  const given = slash < 0 ? '' : rest.slice(slash + 1);
  const path = given.replace(/\/$/, '');
  if (!isValidContainerName(container)) {
    throw new InvalidArgumentError('It must have the form mesh://CONTAINER/NAME.');
  }
  if (path !== '' && !isValidBlobName(path)) {
    throw new InvalidArgumentError(
      'A name in a container has 1 to 1024 characters; no backslash, control character, or empty, . or .. part.',
    );
  }
  return { container, path, isDirectory: given === '' || given.endsWith('/') };
}

export function formatFileAddress(container: string, name: string): string {
  return `mesh://${container}/${name}`;
}

/** What the names of the files below the address begin with. */
export function prefixOf(address: FileAddress): string {
  return address.isDirectory && address.path !== '' ? `${address.path}/` : address.path;
}

export function countFiles(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}
