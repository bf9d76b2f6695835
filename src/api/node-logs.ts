/** The route by which a node's agent sends its log files to a container. */
import Type from 'typebox';
import { CONTAINER_URL_LENGTH_MAX } from '../lib/limits.ts';
import { parseTimestamp } from '../lib/timestamps.ts';
import { Echoed } from '../model/schema.ts';
import { isContainerUrl } from '../model/validate.ts';
import type { ApiContext } from './context.ts';
import { elementMetadata } from './entity-url.ts';
import { requireNode } from './nodes.ts';
import { type Answer, type Call, json, type Route } from './route.ts';
import { bodyReader, invalidProperty } from './validate.ts';

const readUpload = bodyReader(
  Type.Object(
    {
      containerUrl: Type.String({ minLength: 1, maxLength: CONTAINER_URL_LENGTH_MAX }),
      startTime: Type.String({ maxLength: 64 }),
      endTime: Type.Optional(Type.String({ maxLength: 64 })),
      identityReference: Type.Optional(Echoed),
    },
    { additionalProperties: false },
  ),
);

export function nodeLogRoutes(context: ApiContext): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/pools/:pool/nodes/:node/uploadbatchservicelogs',
      name: 'ComputeNode_UploadBatchServiceLogs',
      handle: (call) => uploadLogs(context, call),
    },
  ];
}

/** Answers when the files are there; Azure's answers before, and is asked again by whoever finds nothing. */
async function uploadLogs(context: ApiContext, call: Call): Promise<Answer> {
  const { containerUrl, startTime, endTime } = readUpload(call.body, call.version);
  if (!isContainerUrl(containerUrl))
    throw invalidProperty(
      'containerUrl',
      containerUrl,
      'it is neither http://, https:// nor mesh://<container>',
    );
  const startMs = readMoment('startTime', startTime);
  const endMs = endTime === undefined ? undefined : readMoment('endTime', endTime);
  if (endMs !== undefined && endMs < startMs)
    throw invalidProperty('endTime', endTime, 'it is before startTime');
  const { pool, node } = await requireNode(context, call);
  const upload = { containerUrl, startMs, ...(endMs !== undefined && { endMs }) };
  const { directory, files } = await context.control.uploadNodeLogs(pool, node, upload, call.options());
  return json({
    'odata.metadata': elementMetadata(call.baseUrl, 'uploadbatchservicelogs'),
    virtualDirectoryName: directory,
    numberOfFilesUploaded: files,
  });
}

function readMoment(name: string, text: string): number {
  const timeMs = parseTimestamp(text);
  if (timeMs === undefined) throw invalidProperty(name, text, 'it is no moment in ISO 8601');
  return timeMs;
}
