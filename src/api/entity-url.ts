/** URLs of entities, as they stand in answers and Location headers. */

export function poolUrl(baseUrl: string, pool: string): string {
  return `${baseUrl}/pools/${encodeURIComponent(pool)}`;
}

export function nodeUrl(baseUrl: string, pool: string, node: string): string {
  return `${poolUrl(baseUrl, pool)}/nodes/${encodeURIComponent(node)}`;
}

export function jobUrl(baseUrl: string, job: string): string {
  return `${baseUrl}/jobs/${encodeURIComponent(job)}`;
}

export function scheduleUrl(baseUrl: string, schedule: string): string {
  return `${baseUrl}/jobschedules/${encodeURIComponent(schedule)}`;
}

export function taskUrl(baseUrl: string, job: string, task: string): string {
  return `${jobUrl(baseUrl, job)}/tasks/${encodeURIComponent(task)}`;
}

/** Of a file below a task or node: Azure's clients expect `/` inside the path to be escaped too. */
export function fileUrl(ownerUrl: string, path: string): string {
  return `${ownerUrl}/files/${encodeURIComponent(path)}`;
}

export function affinityIdOf(node: string): string {
  return `TVM:${node}`;
}

/** The mark of a single entity; lists carry theirs once. */
export function elementMetadata(baseUrl: string, set: string): string {
  return `${baseUrl}/$metadata#${set}/@Element`;
}
