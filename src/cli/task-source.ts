/** Tasks as JSON, from a file or standard input. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { ShoalError } from '../lib/errors.ts';
import { RUN_ITEM_BYTES_MAX } from '../lib/limits.ts';
import type { TaskSpec } from '../model/task.ts';
import { localFileError } from './remote-output.ts';

/** The whole text of `file`, or of standard input where it is `-`. */
export async function readTextSource(file: string, stdin: Readable): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const stream = file === '-' ? stdin : createReadStream(file);
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array | string>) {
      const part = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      size += part.byteLength;
      if (size > RUN_ITEM_BYTES_MAX) {
        throw new ShoalError('TooLarge', `${file} has more than ${RUN_ITEM_BYTES_MAX} bytes.`, {
          Path: file,
        });
      }
      chunks.push(part);
    }
  } catch (error) {
    throw localFileError(error, file);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** One task, an array of them, Azure's `{"value": […]}`, or one a line. What a task may hold is for the API to say. */
export function parseTasks(text: string, source: string): readonly TaskSpec[] {
  const whole = tryParse(text);
  if (whole !== undefined) return tasksOf(whole.value, source);
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    if (line.trim() === '') return [];
    const parsed = tryParse(line);
    if (parsed === undefined) throw malformed(source, `line ${index + 1} is not JSON`);
    return tasksOf(parsed.value, source);
  });
}

function tasksOf(value: unknown, source: string): readonly TaskSpec[] {
  const list = isObject(value) && Array.isArray(value.value) ? (value.value as unknown[]) : value;
  const items = Array.isArray(list) ? (list as readonly unknown[]) : [list];
  for (const item of items) {
    if (!isObject(item)) throw malformed(source, 'a task is a JSON object');
  }
  return items as readonly TaskSpec[];
}

function tryParse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function malformed(source: string, reason: string): ShoalError {
  return new ShoalError('InvalidArgument', `The tasks in ${source} cannot be read: ${reason}.`, {
    Argument: '--json',
    Reason: reason,
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
