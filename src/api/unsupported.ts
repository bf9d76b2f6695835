/** Operations that Azure Batch has and this mesh refuses: each says so, instead of looking like a wrong URL. */
import { ShoalError } from '../lib/errors.ts';
import type { Method, Route } from './route.ts';

const NO_USERS =
  'the machines belong to their owners, who alone decide who may log in to them. Read files with the file operations';
const NO_CERTIFICATES =
  'Azure Batch has retired certificates, and this mesh installs none. Give secrets to tasks as resource files';

/** Operations that this mesh will not have, with the reason. */
const REFUSED: readonly (readonly [Method, string, string, string])[] = [
  ['POST', '/pools/:pool/nodes/:node/users', 'ComputeNode_AddUser', NO_USERS],
  ['PUT', '/pools/:pool/nodes/:node/users/:user', 'ComputeNode_UpdateUser', NO_USERS],
  ['DELETE', '/pools/:pool/nodes/:node/users/:user', 'ComputeNode_DeleteUser', NO_USERS],
  [
    'GET',
    '/pools/:pool/nodes/:node/rdp',
    'ComputeNode_GetRemoteDesktop',
    'the mesh manages no remote desktops; remoteloginsettings tells the address of the machine',
  ],
  ['GET', '/certificates', 'Certificate_List', NO_CERTIFICATES],
  ['POST', '/certificates', 'Certificate_Add', NO_CERTIFICATES],
  ['GET', '/certificates(*', 'Certificate_Get', NO_CERTIFICATES],
  ['DELETE', '/certificates(*', 'Certificate_Delete', NO_CERTIFICATES],
  ['POST', '/certificates(*', 'Certificate_CancelDeletion', NO_CERTIFICATES],
];

/** A client that asks for what is not there should hear that first, whatever its query says. */
const ANY_QUERY = [
  '$filter',
  '$select',
  '$expand',
  'maxresults',
  '$skiptoken',
  'starttime',
  'endtime',
  'recursive',
];

export function unsupportedRoutes(): readonly Route[] {
  return REFUSED.map(([method, path, name, reason]) => {
    const message = `The operation ${name} is not supported: ${reason}.`;
    const handle: Route['handle'] = () =>
      Promise.reject(new ShoalError('OperationNotSupported', message, { Operation: name }));
    return { method, path, name, query: ANY_QUERY, handle };
  });
}
