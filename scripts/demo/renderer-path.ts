/** The render program is uploaded as it stands in the source tree, not bundled. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = here.includes('/dist') ? here.slice(0, here.indexOf('/dist')) : join(here, '..', '..');

export const RENDERER = join(root, 'scripts', 'demo', 'renderer.mjs');
