/** A machine's store that counts what it is given to write. */
import type { Store } from '../../../src/store/interface.ts';
import type { Ledger } from './meter.ts';

export function countedStore(store: Store, ledger: Ledger): Store {
  const write: Store['write'] = (batch, sync) => {
    if (sync) ledger.syncedWrites += 1;
    for (const { rows = [], append = [] } of batch.groups) {
      ledger.rows += rows.length;
      for (const row of rows) if (row.kind === 'put') ledger.rowBytes += row.value.length;
      ledger.entries += append.length;
      for (const { data } of append) ledger.logBytes += data.length;
    }
    return store.write(batch, sync);
  };
  return new Proxy(store, {
    get(target, name) {
      if (name === 'write') return write;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
