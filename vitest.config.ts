import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes minutes begins first, or one worker would be busy with it when all others have nothing to do. */
const LONG = ['test/sim/planted/', 'test/sim/control-plane'];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean => LONG.some((path) => moduleId.includes(path));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    pool: 'forks',
    sequence: { sequencer: LongFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'modules',
          setupFiles: ['src/lib/polyfill.ts'],
          include: ['test/{contract,sim,tidy,unit}/**/*.test.ts'],
          maxWorkers: 2,
          // Bounds that a right program never comes near, on a slow and busy machine either.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          setupFiles: ['src/lib/polyfill.ts'],
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/e2e/build.setup.ts'],
          // Each file starts a mesh of its own, and its time-outs want the machine for themselves.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
