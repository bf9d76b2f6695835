/** A small file of lines that somebody appends to and sometimes writes anew. */
import { open, readFile, rename, writeFile } from 'node:fs/promises';
import { isCode } from '../../src/lib/system-error.ts';

export interface LinesFile {
  /** Empty where there is none. What follows the last line break was never acknowledged. */
  read(): Promise<string>;
  /** Durable when it resolves. */
  append(text: string): Promise<void>;
  /** Either the old text or the new one is there, whatever happens. */
  replace(text: string): Promise<void>;
}

export class LocalLinesFile implements LinesFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<string> {
    try {
      return await readFile(this.#path, 'utf8');
    } catch (error) {
      if (isCode(error, 'ENOENT')) return '';
      throw error;
    }
  }

  async append(text: string): Promise<void> {
    const file = await open(this.#path, 'a', 0o600);
    try {
      await file.appendFile(text);
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  async replace(text: string): Promise<void> {
    await writeFile(`${this.#path}.new`, text, { mode: 0o600, flush: true });
    await rename(`${this.#path}.new`, this.#path);
  }
}
