/** Operations that Azure Batch has and this mesh has not yet: each says so, instead of looking like a wrong URL. */
import { ShoalError } from '../lib/errors.ts';
import type { Method, Route } from './route.ts';

const OPERATIONS: readonly (readonly [Method, string, string])[] = [
  ['GET', '/poolusagemetrics', 'Pool_ListUsageMetrics'],
  ['GET', '/lifetimepoolstats', 'Pool_GetAllLifetimeStatistics'],
  ['GET', '/lifetimejobstats', 'Job_GetAllLifetimeStatistics'],
  ['POST', '/pools/:pool/nodes/:node/users', 'ComputeNode_AddUser'],
  ['PUT', '/pools/:pool/nodes/:node/users/:user', 'ComputeNode_UpdateUser'],
  ['DELETE', '/pools/:pool/nodes/:node/users/:user', 'ComputeNode_DeleteUser'],
  ['GET', '/pools/:pool/nodes/:node/remoteloginsettings', 'ComputeNode_GetRemoteLoginSettings'],
  ['GET', '/pools/:pool/nodes/:node/rdp', 'ComputeNode_GetRemoteDesktop'],
  ['POST', '/pools/:pool/nodes/:node/uploadbatchservicelogs', 'ComputeNode_UploadBatchServiceLogs'],
  ['GET', '/pools/:pool/nodes/:node/extensions', 'ComputeNodeExtension_List'],
  ['GET', '/pools/:pool/nodes/:node/extensions/:extension', 'ComputeNodeExtension_Get'],
  ['GET', '/certificates', 'Certificate_List'],
  ['POST', '/certificates', 'Certificate_Add'],
  ['GET', '/certificates(*', 'Certificate_Get'],
  ['DELETE', '/certificates(*', 'Certificate_Delete'],
  ['POST', '/certificates(*', 'Certificate_CancelDeletion'],
];

export function unsupportedRoutes(): readonly Route[] {
  return OPERATIONS.map(([method, path, name]) => ({
    method,
    path,
    name,
    // A client that asks for what is not there should hear that first, whatever its query says.
    query: ['$filter', '$select', '$expand', 'maxresults', '$skiptoken', 'starttime', 'endtime', 'recursive'],
    handle: () => {
      const message = `The operation ${name} is not supported by this mesh yet.`;
      return Promise.reject(new ShoalError('OperationNotSupported', message, { Operation: name }));
    },
  }));
}
