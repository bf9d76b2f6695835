/** The operations of Azure Batch's data plane, version 2022-10-01.16.0, as its own documentation lists them. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/** Name, method and path; a part in braces stands for anything. */
export const OPERATIONS: readonly (readonly [name: string, method: string, path: string])[] = [
  ['Application_List', 'GET', '/applications'],
  ['Application_Get', 'GET', '/applications/{application}'],
  ['Pool_ListUsageMetrics', 'GET', '/poolusagemetrics'],
  ['Pool_GetAllLifetimeStatistics', 'GET', '/lifetimepoolstats'],
  ['Pool_Add', 'POST', '/pools'],
  ['Pool_List', 'GET', '/pools'],
  ['Pool_Delete', 'DELETE', '/pools/{pool}'],
  ['Pool_Exists', 'HEAD', '/pools/{pool}'],
  ['Pool_Get', 'GET', '/pools/{pool}'],
  ['Pool_Patch', 'PATCH', '/pools/{pool}'],
  ['Pool_DisableAutoScale', 'POST', '/pools/{pool}/disableautoscale'],
  ['Pool_EnableAutoScale', 'POST', '/pools/{pool}/enableautoscale'],
  ['Pool_EvaluateAutoScale', 'POST', '/pools/{pool}/evaluateautoscale'],
  ['Pool_Resize', 'POST', '/pools/{pool}/resize'],
  ['Pool_StopResize', 'POST', '/pools/{pool}/stopresize'],
  ['Pool_UpdateProperties', 'POST', '/pools/{pool}/updateproperties'],
  ['Pool_RemoveNodes', 'POST', '/pools/{pool}/removenodes'],
  ['Account_ListSupportedImages', 'GET', '/supportedimages'],
  ['Account_ListPoolNodeCounts', 'GET', '/nodecounts'],
  ['Job_GetAllLifetimeStatistics', 'GET', '/lifetimejobstats'],
  ['Job_Delete', 'DELETE', '/jobs/{job}'],
  ['Job_Get', 'GET', '/jobs/{job}'],
  ['Job_Patch', 'PATCH', '/jobs/{job}'],
  ['Job_Update', 'PUT', '/jobs/{job}'],
  ['Job_Disable', 'POST', '/jobs/{job}/disable'],
  ['Job_Enable', 'POST', '/jobs/{job}/enable'],
  ['Job_Terminate', 'POST', '/jobs/{job}/terminate'],
  ['Job_Add', 'POST', '/jobs'],
  ['Job_List', 'GET', '/jobs'],
  ['Job_ListFromJobSchedule', 'GET', '/jobschedules/{schedule}/jobs'],
  ['Job_ListPreparationAndReleaseTaskStatus', 'GET', '/jobs/{job}/jobpreparationandreleasetaskstatus'],
  ['Job_GetTaskCounts', 'GET', '/jobs/{job}/taskcounts'],
  ['Certificate_Add', 'POST', '/certificates'],
  ['Certificate_List', 'GET', '/certificates'],
  ['Certificate_CancelDeletion', 'POST', '/certificates({certificate})/canceldelete'],
  ['Certificate_Delete', 'DELETE', '/certificates({certificate})'],
  ['Certificate_Get', 'GET', '/certificates({certificate})'],
  ['File_DeleteFromTask', 'DELETE', '/jobs/{job}/tasks/{task}/files/{path}'],
  ['File_GetFromTask', 'GET', '/jobs/{job}/tasks/{task}/files/{path}'],
  ['File_GetPropertiesFromTask', 'HEAD', '/jobs/{job}/tasks/{task}/files/{path}'],
  ['File_ListFromTask', 'GET', '/jobs/{job}/tasks/{task}/files'],
  ['File_DeleteFromComputeNode', 'DELETE', '/pools/{pool}/nodes/{node}/files/{path}'],
  ['File_GetFromComputeNode', 'GET', '/pools/{pool}/nodes/{node}/files/{path}'],
  ['File_GetPropertiesFromComputeNode', 'HEAD', '/pools/{pool}/nodes/{node}/files/{path}'],
  ['File_ListFromComputeNode', 'GET', '/pools/{pool}/nodes/{node}/files'],
  ['JobSchedule_Exists', 'HEAD', '/jobschedules/{schedule}'],
  ['JobSchedule_Delete', 'DELETE', '/jobschedules/{schedule}'],
  ['JobSchedule_Get', 'GET', '/jobschedules/{schedule}'],
  ['JobSchedule_Patch', 'PATCH', '/jobschedules/{schedule}'],
  ['JobSchedule_Update', 'PUT', '/jobschedules/{schedule}'],
  ['JobSchedule_Disable', 'POST', '/jobschedules/{schedule}/disable'],
  ['JobSchedule_Enable', 'POST', '/jobschedules/{schedule}/enable'],
  ['JobSchedule_Terminate', 'POST', '/jobschedules/{schedule}/terminate'],
  ['JobSchedule_Add', 'POST', '/jobschedules'],
  ['JobSchedule_List', 'GET', '/jobschedules'],
  ['Task_Add', 'POST', '/jobs/{job}/tasks'],
  ['Task_List', 'GET', '/jobs/{job}/tasks'],
  ['Task_AddCollection', 'POST', '/jobs/{job}/addtaskcollection'],
  ['Task_Delete', 'DELETE', '/jobs/{job}/tasks/{task}'],
  ['Task_Get', 'GET', '/jobs/{job}/tasks/{task}'],
  ['Task_Update', 'PUT', '/jobs/{job}/tasks/{task}'],
  ['Task_ListSubtasks', 'GET', '/jobs/{job}/tasks/{task}/subtasksinfo'],
  ['Task_Terminate', 'POST', '/jobs/{job}/tasks/{task}/terminate'],
  ['Task_Reactivate', 'POST', '/jobs/{job}/tasks/{task}/reactivate'],
  ['ComputeNode_AddUser', 'POST', '/pools/{pool}/nodes/{node}/users'],
  ['ComputeNode_DeleteUser', 'DELETE', '/pools/{pool}/nodes/{node}/users/{user}'],
  ['ComputeNode_UpdateUser', 'PUT', '/pools/{pool}/nodes/{node}/users/{user}'],
  ['ComputeNode_Get', 'GET', '/pools/{pool}/nodes/{node}'],
  ['ComputeNode_Reboot', 'POST', '/pools/{pool}/nodes/{node}/reboot'],
  ['ComputeNode_Reimage', 'POST', '/pools/{pool}/nodes/{node}/reimage'],
  ['ComputeNode_DisableScheduling', 'POST', '/pools/{pool}/nodes/{node}/disablescheduling'],
  ['ComputeNode_EnableScheduling', 'POST', '/pools/{pool}/nodes/{node}/enablescheduling'],
  ['ComputeNode_GetRemoteLoginSettings', 'GET', '/pools/{pool}/nodes/{node}/remoteloginsettings'],
  ['ComputeNode_GetRemoteDesktop', 'GET', '/pools/{pool}/nodes/{node}/rdp'],
  ['ComputeNode_UploadBatchServiceLogs', 'POST', '/pools/{pool}/nodes/{node}/uploadbatchservicelogs'],
  ['ComputeNode_List', 'GET', '/pools/{pool}/nodes'],
  ['ComputeNodeExtension_Get', 'GET', '/pools/{pool}/nodes/{node}/extensions/{extension}'],
  ['ComputeNodeExtension_List', 'GET', '/pools/{pool}/nodes/{node}/extensions'],
];

/** Notes which operations this process asks for over HTTP, whoever asks: the client itself is left alone. */
export class OperationRecorder {
  readonly seen = new Set<string>();
  readonly #patterns = OPERATIONS.map(([name, method, path]) => ({ name, method, pattern: patternOf(path) }));

  start(): void {
    subscribe('http.client.request.start', this.#note);
  }

  stop(): void {
    unsubscribe('http.client.request.start', this.#note);
  }

  readonly #note = (message: unknown): void => {
    const { request } = message as { readonly request: { readonly method: string; readonly path: string } };
    const path = request.path.split('?')[0] ?? '';
    for (const { name, method, pattern } of this.#patterns)
      if (request.method === method && pattern.test(path)) this.seen.add(name);
  };
}

function patternOf(path: string): RegExp {
  const escaped = path.replaceAll(/[()]/g, '\\$&').replaceAll(/\{[a-z]+\}/g, '[^/]+');
  return new RegExp(`^${escaped}$`);
}

/** Statuses of the answers that this process hears, also of those that the client would hide by trying again. */
export class StatusRecorder {
  readonly statuses: number[] = [];

  start(): void {
    subscribe('http.client.response.finish', this.#note);
  }

  stop(): void {
    unsubscribe('http.client.response.finish', this.#note);
  }

  readonly #note = (message: unknown): void => {
    const { response } = message as { readonly response: { readonly statusCode: number } };
    this.statuses.push(response.statusCode);
  };
}
