/**
 * Text that came from elsewhere, made safe to show. A name or a log line may carry escape sequences that move the
 * cursor, change the window's title or write the clipboard, and direction marks that make it read as another name.
 */

/** C0 and C1 controls, direction and line marks, and lone surrogates. */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** One line of printable text; every control character is written out as an escape. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

/** Several lines of printable text: line ends and tabs stay. */
export function printableLines(text: string): string {
  return text.replace(UNSAFE, (character) =>
    character === '\n' || character === '\t' ? character : escapeCharacter(character),
  );
}

function escapeCharacter(character: string): string {
  switch (character) {
    case '\n':
      return '\\n';
    case '\r':
      return '\\r';
    case '\t':
      return '\\t';
    default: {
      const code = character.charCodeAt(0);
      return code < 0x100
        ? `\\x${code.toString(16).padStart(2, '0')}`
        : `\\u${code.toString(16).padStart(4, '0')}`;
    }
  }
}

/** A colour or style sequence, which does no harm. */
const STYLE = /^\u001b\[[0-9;:]{0,64}m/;
/** The beginning of one that the next piece may complete. */
const STYLE_BEGUN = /^\u001b(?:\[[0-9;:]{0,64})?$/;

/**
 * A task's output on its way to a terminal: text, line ends, tabs and colours pass, all other controls are written
 * out. Pieces may be cut anywhere, in the middle of a character or of a sequence.
 */
export class TerminalFilter {
  readonly #decoder = new TextDecoder();
  #held = '';
  #styled = false;

  /** The safe text of `bytes` and of what was held back before. */
  push(bytes: Uint8Array): string {
    return this.#filter(this.#held + this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** What is left at the end. Colours that the output left on are switched off. */
  end(): string {
    const rest = this.#filter(this.#held + this.#decoder.decode(), true);
    return this.#styled ? `${rest}\u001b[0m` : rest;
  }

  #filter(text: string, last: boolean): string {
    this.#held = '';
    let safe = '';
    let at = 0;
    while (at < text.length) {
      const begin = text.indexOf('\u001b', at);
      if (begin < 0) return safe + passLines(text.slice(at));
      safe += passLines(text.slice(at, begin));
      const rest = text.slice(begin, begin + 80);
      const style = STYLE.exec(rest);
      if (style !== null) {
        safe += style[0];
        this.#styled = !/\[0*m$/.test(style[0]);
        at = begin + style[0].length;
      } else if (!last && STYLE_BEGUN.test(rest)) {
        this.#held = rest;
        return safe;
      } else {
        safe += '\\x1b';
        at = begin + 1;
      }
    }
    return safe;
  }
}

/** A lone carriage return is how programs redraw a progress line: harmless, as it stays on its own line. */
function passLines(text: string): string {
  return text.replace(UNSAFE, (character) =>
    character === '\n' || character === '\t' || character === '\r' ? character : escapeCharacter(character),
  );
}
