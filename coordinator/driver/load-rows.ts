/** A state machine from its rows: what a restart, a snapshot and a replay have in common. */
import type { Store } from '../../src/store/interface.ts';
import type { StateMachine } from '../core/interface.ts';

export async function loadRows(
  machine: StateMachine<unknown>,
  store: Store,
  rowsGroup: string,
): Promise<void> {
  for await (const [key, value] of store.scanRows(rowsGroup, { prefix: '' })) machine.load(key, value);
  machine.loaded();
}
