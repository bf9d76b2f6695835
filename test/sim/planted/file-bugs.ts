/** Bugs of the file services: chunks, copies, collection, inputs. */
import { CHUNKS_ROT, COLLECTIONS, DISKS_GO, FILES, LATE_OUTPUTS, NAMES_ARE_LOST } from './mesh-worlds.ts';
import type { ControlPlaneBug } from './planted-bug.ts';

export const FILE_BUGS: readonly ControlPlaneBug[] = [
  {
    name: 'a damaged chunk is read as if it were sound',
    world: 'control-plane',
    options: CHUNKS_ROT,
    breaks: ['F1'],
    seedsMax: 20,
    changes: [
      {
        file: 'agent/files/chunk-store.ts',
        find: 'if (found?.memory !== undefined && found.hash === hash) return bytesOf(found);',
        replace: 'if (found?.memory !== undefined) return bytesOf(found);',
      },
    ],
  },
  {
    name: 'a receiver stores whatever chunk it is sent',
    world: 'control-plane',
    options: CHUNKS_ROT,
    breaks: ['F1'],
    seedsFrom: 60,
    seedsMax: 120,
    changes: [
      {
        file: 'agent/files/chunk-store.ts',
        find: 'return this.#write(hash, bytes, { verify: true, syncName: false });',
        replace: 'return this.#write(hash, bytes, { verify: false, syncName: false });',
      },
    ],
  },
  {
    name: 'a chunk that is stored again is taken for sound',
    world: 'control-plane',
    options: CHUNKS_ROT,
    breaks: ['F3'],
    seedsMax: 30,
    changes: [
      {
        file: 'agent/files/chunk-store.ts',
        find: 'if (here === undefined) return this.#write(hash, written.bytes, options);',
        replace: 'if (here === undefined) return written;',
      },
      {
        file: 'agent/files/copies.ts',
        find: 'const pushed = isSmall(contents) ? await this.#toPush(contents, keepUntilMs) : undefined;',
        replace: `const pushed = isSmall(contents) ? await this.#toPush(contents, keepUntilMs).catch(() => {}) : undefined;
    if (isSmall(contents) && pushed === undefined) return undefined;`,
      },
    ],
  },
  {
    name: 'the collector forgets what a long manifest is made of',
    world: 'control-plane',
    options: COLLECTIONS,
    breaks: ['F2', 'F3'],
    seedsMax: 20,
    changes: [
      {
        file: 'agent/files/collect.ts',
        find: 'for (const hash of [...resolved.manifestChunks, ...resolved.manifest.chunks]) {',
        replace: 'for (const hash of resolved.manifest.chunks) {',
      },
    ],
  },
  {
    name: 'a blob is named before the names of its chunks are durable',
    world: 'control-plane',
    options: NAMES_ARE_LOST,
    breaks: ['F3'],
    seedsMax: 20,
    changes: [
      {
        file: 'agent/files/chunk-store.ts',
        find: 'await this.settle(manifest.chunks);',
        replace: '',
      },
    ],
  },
  {
    name: 'a task is launched while its inputs are on their way',
    world: 'control-plane',
    options: FILES,
    breaks: ['F4'],
    seedsMax: 10,
    changes: [
      {
        file: 'agent/lifecycle/inputs.ts',
        find: 'await inParallel(wanted, INPUT_FETCHES_MAX, (one) => bring(sources, one, target, signal));',
        replace:
          'inParallel(wanted, INPUT_FETCHES_MAX, (one) => bring(sources, one, target, signal)).catch(() => {});',
      },
    ],
  },
  {
    name: 'a copy that was lost is not made anew',
    world: 'control-plane',
    options: DISKS_GO,
    breaks: ['copies'],
    seedsMax: 20,
    changes: [
      {
        file: 'agent/files/repair.ts',
        find: 'for (const content of this.#due()) {',
        replace: 'for (const content of this.#due().slice(0, 0)) {',
      },
    ],
  },
  {
    name: 'what a reader pinned stays for ever',
    world: 'control-plane',
    options: COLLECTIONS,
    breaks: ['L4'],
    seedsMax: 5,
    changes: [
      { file: 'agent/files/fetcher.ts', find: 'transfer.takePins()();', replace: 'transfer.takePins();' },
    ],
  },
  {
    name: 'late outputs of an earlier run replace those of the run that counts',
    world: 'control-plane',
    options: LATE_OUTPUTS,
    breaks: ['S6'],
    seedsFrom: 100,
    seedsMax: 160,
    changes: [
      {
        file: 'coordinator/core/mesh/blobs.ts',
        find: 'return sameTask && origin.epoch < before.epoch;',
        replace: 'return sameTask && origin.epoch < 0;',
      },
    ],
  },
];
