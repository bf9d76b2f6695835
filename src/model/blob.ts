/** Blobs and containers in the mesh's own storage. */
import { BLOB_NAME_LENGTH_MAX } from '../lib/limits.ts';
import type { MachineId } from './ids.ts';

export interface ContainerRecord {
  readonly name: string;
  readonly createdAtMs: number;
  readonly blobs: number;
  readonly sizeBytes: number;
}

/** Who made a blob: an execution's outputs give way to those of a later epoch, never the other way. */
export interface BlobOrigin {
  readonly pool: string;
  readonly job: number;
  readonly task: number;
  readonly epoch: number;
}

export interface BlobRecord {
  readonly container: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** SHA-256 of the manifest, hexadecimal; the manifest lists the chunks. */
  readonly manifest: string;
  readonly modifiedAtMs: number;
  /** Machines that hold all of it. */
  readonly holders: readonly MachineId[];
  readonly origin?: BlobOrigin;
}

const CONTAINER_SHAPE = /^[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]$/;

/** Azure Storage's rule: 3 to 63 of lower-case letters, digits and single dashes. */
export function isValidContainerName(name: string): boolean {
  return CONTAINER_SHAPE.test(name);
}

/** 1 to 1,024 characters; no control characters, no backslash, no empty, `.` or `..` component. */
export function isValidBlobName(name: string): boolean {
  if (name.length < 1 || name.length > BLOB_NAME_LENGTH_MAX || /[\u0000-\u001f\u007f\\]/.test(name))
    return false;
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** `mesh://<container>[/<blob>]`: undefined where it is not such a URL. */
export function parseMeshUrl(url: string): { container: string; blob: string | undefined } | undefined {
  const match = /^mesh:\/\/([^/]+)(?:\/(.*))?$/.exec(url);
  const container = match?.[1];
  if (container === undefined || !isValidContainerName(container)) return undefined;
  const blob = match?.[2];
  if (blob === undefined || blob === '') return { container, blob: undefined };
  return isValidBlobName(blob) ? { container, blob } : undefined;
}
