/** Holds back whoever passes while it is closed: nothing is printed over a question to the user. */
export class Gate {
  #opened: Promise<void> | undefined;
  #open: (() => void) | undefined;

  close(): void {
    if (this.#opened !== undefined) return;
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open?.();
    this.#opened = undefined;
    this.#open = undefined;
  }

  get isClosed(): boolean {
    return this.#opened !== undefined;
  }

  /** Resolves at once where the gate is open. */
  async passed(): Promise<void> {
    while (this.#opened !== undefined) await this.#opened;
  }
}
