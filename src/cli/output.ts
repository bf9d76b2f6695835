/** What a command says on standard output, as a table for people or as JSON for programs. */
import type { Writable } from 'node:stream';
import { type Column, renderRecord, renderTable, type TableStyle } from './table.ts';

export const OUTPUT_FORMATS = ['table', 'json', 'jsonl'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Rows of one block of a table: a list of a million is neither held nor waited for. */
const BLOCK_ROWS = 1_000;

export type Field = readonly [name: string, value: string | number | undefined];

export class Output {
  readonly format: OutputFormat;
  readonly style: TableStyle;
  readonly #stream: Writable;

  constructor(stream: Writable, format: OutputFormat, style: TableStyle) {
    this.#stream = stream;
    this.format = format;
    this.style = format === 'table' ? style : { width: undefined, colour: false };
  }

  /** A list. In JSON the rows are written as they came, with all their properties. */
  async rows<T>(rows: Iterable<T> | AsyncIterable<T>, columns: readonly Column<T>[]): Promise<void> {
    switch (this.format) {
      case 'json':
        return this.#jsonArray(rows);
      case 'jsonl':
        for await (const row of rows) await this.text(`${JSON.stringify(row)}\n`);
        return;
      case 'table':
        return this.#table(rows, columns);
    }
  }

  /** One thing: its `fields` for people, `data` for programs. */
  async record(data: unknown, fields: readonly Field[]): Promise<void> {
    if (this.format === 'table') await this.lines(renderRecord(fields));
    else await this.#data(data);
  }

  /** That something was done. */
  async done(message: string, data: Readonly<Record<string, unknown>>): Promise<void> {
    if (this.format === 'table') await this.text(`${message}\n`);
    else await this.#data(data);
  }

  async lines(lines: readonly string[]): Promise<void> {
    if (lines.length > 0) await this.text(`${lines.join('\n')}\n`);
  }

  /** Text or bytes as they are. Waits while the reader is slower than we are. */
  async text(text: string | Uint8Array): Promise<void> {
    await writeTo(this.#stream, text);
  }

  #data(data: unknown): Promise<void> {
    return this.text(`${this.format === 'json' ? JSON.stringify(data, null, 2) : JSON.stringify(data)}\n`);
  }

  async #jsonArray(rows: Iterable<unknown> | AsyncIterable<unknown>): Promise<void> {
    let separator = '[\n';
    for await (const row of rows) {
      await this.text(`${separator}  ${JSON.stringify(row, null, 2).replaceAll('\n', '\n  ')}`);
      separator = ',\n';
    }
    await this.text(separator === '[\n' ? '[]\n' : '\n]\n');
  }

  async #table<T>(rows: Iterable<T> | AsyncIterable<T>, columns: readonly Column<T>[]): Promise<void> {
    const widths: number[] = [];
    let block: T[] = [];
    for await (const row of rows) {
      block.push(row);
      if (block.length < BLOCK_ROWS) continue;
      await this.lines(renderTable(columns, block, this.style, widths));
      block = [];
    }
    if (block.length > 0 || widths.length === 0) {
      await this.lines(renderTable(columns, block, this.style, widths));
    }
  }
}

/** Writes, and waits for the reader where the stream is full. A stream that was closed takes nothing more. */
export async function writeTo(stream: Writable, text: string | Uint8Array): Promise<void> {
  if (stream.destroyed || text.length === 0) return;
  if (!stream.write(text)) await drained(stream);
}

function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      stream.off('drain', settle).off('close', settle);
      resolve();
    };
    stream.on('drain', settle).on('close', settle);
  });
}
