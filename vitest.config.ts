import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    setupFiles: ['src/lib/polyfill.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    include: ['test/**/*.test.ts'],
  },
});
