/**
 * Replacement strings, as in GNU parallel:
 *
 *     {}    the item                      a/b.tar.gz
 *     {.}   without its extension         a/b.tar
 *     {/}   without its directory         b.tar.gz
 *     {//}  its directory alone           a
 *     {/.}  without either                b.tar
 *     {#}   the task's number, from 1
 *     {2}   the item of the second list; also {2.} {2/} {2//} {2/.}
 */
import path from 'node:path';
import { ShoalError } from '../../lib/errors.ts';

const PLACEHOLDER = /\{(?:(#)|([1-9]\d{0,2})?(\.|\/\.|\/\/|\/)?)\}/g;

export interface Choice {
  /** One item from each list. */
  readonly items: readonly string[];
  /** The task's number, from 1. */
  readonly number: number;
}

/** Whether the words use an item: `{#}` alone does not. */
export function usesItems(words: readonly string[]): boolean {
  return words.some((word) => [...word.matchAll(PLACEHOLDER)].some(([, number]) => number === undefined));
}

/** @throws ShoalError InvalidArgument for a placeholder of a list that is not there. */
export function checkPlaceholders(words: readonly string[], lists: number): void {
  for (const word of words) {
    for (const [text, , position] of word.matchAll(PLACEHOLDER)) {
      if (position === undefined || Number(position) <= lists) continue;
      throw new ShoalError('InvalidArgument', `${text} names a list that is not there: there are ${lists}.`, {
        Argument: text,
      });
    }
  }
}

/** The text with its placeholders replaced; each value passes `quote`. */
export function expand(text: string, choice: Choice, quote: (value: string) => string = plain): string {
  return text.replace(PLACEHOLDER, (_all, number?: string, position?: string, operation?: string) =>
    number === undefined ? valuesOf(choice, position, operation).map(quote).join(' ') : String(choice.number),
  );
}

/**
 * The words of a command. A word that is nothing but a placeholder for all lists becomes a word for each of them, so
 * that `cp {}` copies the item of the first list to that of the second.
 */
export function expandWords(words: readonly string[], choice: Choice): readonly string[] {
  return words.flatMap((word) => {
    const whole = /^\{(\.|\/\.|\/\/|\/)?\}$/.exec(word);
    return whole === null ? [expand(word, choice)] : valuesOf(choice, undefined, whole[1]);
  });
}

function valuesOf(
  choice: Choice,
  position: string | undefined,
  operation: string | undefined,
): readonly string[] {
  const items = position === undefined ? choice.items : [choice.items[Number(position) - 1] ?? ''];
  return items.map((item) => apply(item, operation));
}

function apply(item: string, operation: string | undefined): string {
  switch (operation) {
    case '.':
      return withoutExtension(item);
    case '/':
      return withoutDirectory(item);
    case '/.':
      return withoutExtension(withoutDirectory(item));
    case '//':
      return path.posix.dirname(item);
    default:
      return item;
  }
}

/** Only the last dot counts, and only in the last component: `v1.2/readme` has none. */
function withoutExtension(item: string): string {
  return item.replace(/\.[^/.]*$/, '');
}

function withoutDirectory(item: string): string {
  return item.slice(item.lastIndexOf('/') + 1);
}

function plain(value: string): string {
  return value;
}
