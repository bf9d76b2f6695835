import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    pool: 'forks',
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
