/** Which boot of its machine this agent lives in. */
import { readFile } from 'node:fs/promises';
import type { Store } from '../../src/store/interface.ts';
import { decode, encode } from '../../src/wire/codec.ts';

const ROW = 'boot';

/**
 * Counts the machine's boots in its own rows: the same number as before where nothing was booted since the last life of
 * this agent, else one more. On disk before it is told to anybody, so that no number stands for two boots.
 */
export async function countBoots(store: Store): Promise<number> {
  const name = await readBoot();
  const row = await store.getLocal(ROW);
  const last =
    row === undefined ? undefined : (decode(row) as { readonly name: string; readonly number: number });
  if (last?.name === name) return last.number;
  const number = (last?.number ?? 0) + 1;
  await store.write(
    { groups: [], local: [{ kind: 'put', key: ROW, value: encode({ name, number }) }] },
    true,
  );
  return number;
}

/**
 * The kernel's boot id and the start of process 1: a container that is made anew shares the first with its host, and
 * has lost its processes all the same. `unknown` where /proc does not say; such a machine never counts as rebooted.
 */
async function readBoot(): Promise<string> {
  try {
    const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    const status = await readFile('/proc/1/stat', 'utf8');
    // The name in parentheses may hold spaces; field 22 of proc(5), the start time, is the 20th after it.
    const started = status.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    return `${id.slice(0, 13)}-${started}`;
  } catch {
    return 'unknown';
  }
}
