/** Lists of our own entities: all of them, or a page with the place where the next begins. */
import { type Answer, json } from '../route.ts';

export function itemsAnswer(items: readonly unknown[], next?: string): Answer {
  return json(next === undefined ? { items } : { items, next });
}
