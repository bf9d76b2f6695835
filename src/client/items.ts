/** A list of our own entities: bare, or with the place where its next page begins. */
export type ItemsAnswer<T> = readonly T[] | { readonly items: readonly T[]; readonly next?: string };

export function itemsOf<T>(answer: ItemsAnswer<T>): readonly T[] {
  return 'items' in answer ? answer.items : answer;
}
