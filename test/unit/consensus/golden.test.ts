import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { runScript } from './script.ts';

const folder = new URL('golden/', import.meta.url);

/** Each file is one corner case. UPDATE_GOLDEN=1 writes what the program does now; read the diff before you keep it. */
describe('golden scripts', () => {
  for (const name of readdirSync(fileURLToPath(folder)).sort()) {
    test(name.replace(/\.txt$/, ''), () => {
      const path = new URL(name, folder);
      const text = readFileSync(path, 'utf8');
      const output = runScript(text);
      if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, output);
      else expect(output).toBe(text);
    });
  }
});
