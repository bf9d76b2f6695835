/** Reader of `text/event-stream` (WHATWG HTML, section "Server-sent events"). */
import { ShoalError } from '../lib/errors.ts';
import { CLIENT_EVENT_BYTES_MAX } from '../lib/limits.ts';

export interface ServerSentEvent {
  /** `message` where the stream names none. */
  readonly type: string;
  readonly data: string;
  /** The stream's last event id so far. */
  readonly id: string;
}

/** The events of a body. Comments (a server's keep-alive) are skipped; an event cut off by the end is dropped. */
export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  let type = '';
  let data: string[] = [];
  let size = 0;
  let id = '';
  for await (const line of readLines(body)) {
    if (line === '') {
      if (data.length > 0) yield { type: type === '' ? 'message' : type, data: data.join('\n'), id };
      type = '';
      data = [];
      size = 0;
      continue;
    }
    const [field, value] = splitField(line);
    if (field === 'event') type = value;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'data') {
      size += value.length;
      if (size > CLIENT_EVENT_BYTES_MAX) throw tooLong();
      data.push(value);
    }
  }
}

/** `field: value` with one space after the colon taken away; a comment has an empty field. */
function splitField(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  if (colon < 0) return [line, ''];
  const value = line.slice(colon + 1);
  return [line.slice(0, colon), value.startsWith(' ') ? value.slice(1) : value];
}

/** Lines end with LF, CR or CRLF, and a CRLF may come in two pieces. */
async function* readLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let afterReturn = false;
  for await (const chunk of body) {
    let text = decoder.decode(chunk, { stream: true });
    if (afterReturn && text.startsWith('\n')) text = text.slice(1);
    if (text === '') continue;
    afterReturn = text.endsWith('\r');
    const lines = (rest + text).split(/\r\n|\r|\n/);
    rest = lines.pop() ?? '';
    if (rest.length > CLIENT_EVENT_BYTES_MAX) throw tooLong();
    yield* lines;
  }
}

function tooLong(): ShoalError {
  return new ShoalError(
    'TooLarge',
    `An event of more than ${CLIENT_EVENT_BYTES_MAX} characters was refused.`,
  );
}
