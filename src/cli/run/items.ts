/** Where the items of `shoal run` come from: the habits of GNU parallel. */
import { ShoalError } from '../../lib/errors.ts';
import { RUN_ITEMS_MAX } from '../../lib/limits.ts';

/** `:::` begins a list of items, `::::` a list of files with an item a line. */
export type Source =
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'file'; readonly path: string };

export interface Operands {
  readonly command: readonly string[];
  readonly sources: readonly Source[];
}

/** Takes the words behind the flags apart: the command, then its lists. */
export function splitOperands(words: readonly string[]): Operands {
  const first = words.findIndex(isSeparator);
  if (first < 0) return { command: words, sources: [] };
  const sources: Source[] = [];
  let at = first;
  while (at < words.length) {
    const separator = words[at];
    const after = words.findIndex((word, index) => index > at && isSeparator(word));
    const end = after < 0 ? words.length : after;
    const list = words.slice(at + 1, end);
    if (separator === ':::') sources.push({ kind: 'list', items: list });
    else if (separator === '::::') sources.push(...filesOf(list));
    else throw invalid(`${separator} is not supported; use ::: for each list.`);
    at = end;
  }
  return { command: words.slice(0, first), sources };
}

function isSeparator(word: string): boolean {
  return /^:::{1,2}\+?$/.test(word);
}

function filesOf(paths: readonly string[]): readonly Source[] {
  if (paths.length === 0) throw invalid('Behind :::: the names of files are missing.');
  return paths.map((path) => ({ kind: 'file', path }));
}

/** The items in a text: one a line, or ended by NUL. The last one needs no end. */
export function itemsOfText(text: string, separator: '\n' | '\0'): readonly string[] {
  if (text === '') return [];
  const items = text.split(separator);
  if (items.at(-1) === '') items.pop();
  return items;
}

/**
 * Every choice of one item from each list; the last list changes fastest. Any of them can be asked for by its number,
 * so that the product of long lists is never held.
 */
export class Combinations {
  readonly #lists: readonly (readonly string[])[];
  /** How many there are: 1 without lists, 0 where one of them is empty. */
  readonly count: number;

  /** @throws ShoalError InvalidArgument for more than `RUN_ITEMS_MAX`, or an item that no argument can hold. */
  constructor(lists: readonly (readonly string[])[]) {
    this.#lists = lists;
    this.count = lists.reduce((product, list) => product * list.length, 1);
    if (this.count > RUN_ITEMS_MAX) {
      throw invalid(`There are ${this.count} tasks to make; a run has at most ${RUN_ITEMS_MAX}.`);
    }
    for (const list of lists) {
      if (list.some((item) => item.includes('\0'))) {
        throw invalid('An item holds a NUL character, which no argument can. With -0 items end with one.');
      }
    }
  }

  get lists(): number {
    return this.#lists.length;
  }

  /** `index` from 0 to `count` - 1. */
  at(index: number): readonly string[] {
    const chosen: string[] = [];
    let rest = index;
    for (const list of this.#lists.toReversed()) {
      chosen.push(list[rest % list.length] ?? '');
      rest = Math.floor(rest / list.length);
    }
    return chosen.reverse();
  }
}

function invalid(message: string): ShoalError {
  return new ShoalError('InvalidArgument', message, { Argument: 'items' });
}
