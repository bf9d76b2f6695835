/** Bundles the programs into dist/: the CLI with the agent as a part that is loaded when asked for, the runner, the launcher and the disk thread alone and lean, and the scripts. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outdir = join(root, 'dist');
if (existsSync(outdir)) rmSync(outdir, { recursive: true });
mkdirSync(outdir);

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  outdir: 'dist',
  // Native add-ons and esbuild find their binaries beside their own package.
  external: ['level', 'classic-level', 'msgpackr-extract', 'esbuild'],
  // Some dependencies are CommonJS and ask for Node's modules by `require`.
  banner: {
    js: "import { createRequire as shoalCreateRequire } from 'node:module'; const require = shoalCreateRequire(import.meta.url);",
  },
  sourcemap: 'linked',
  logLevel: 'warning',
  legalComments: 'none',
};

const programs = {
  shoal: 'agent/main/shoal.ts',
  demo: 'scripts/demo/main.ts',
  bench: 'scripts/bench/main.ts',
  'hostile-client': 'scripts/hostile-client/main.ts',
  'hostile-sink': 'scripts/hostile-sink/main.ts',
  chaos: 'scripts/chaos/main.ts',
  netns: 'scripts/netns/main.ts',
  mpi: 'scripts/mpi/main.ts',
  sim: 'scripts/sim/main.ts',
  'sim-worker': 'scripts/sim/worker.ts',
};
const present = Object.fromEntries(
  Object.entries(programs).filter(([, file]) => existsSync(join(root, file))),
);

await Promise.all([
  build({ ...common, entryPoints: present, splitting: true, chunkNames: 'parts/[name]-[hash]' }),
  build({
    ...common,
    entryPoints: {
      runner: 'agent/runner/main.ts',
      launcher: 'agent/launcher/main.ts',
      'disk-thread': 'agent/files/disk-thread.ts',
    },
  }),
]);
await chmod(join(outdir, 'shoal.js'), 0o755);
