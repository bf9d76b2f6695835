/** What machines of a world cost: CPU by machine, messages and bytes by machine and by kind, rows and writes of stores. */

export interface Traffic {
  messages: number;
  bytes: number;
}

/** Of one machine, both ways, by what is sent. */
export class Ledger {
  /** Wall time of its events. */
  eventsMs = 0;
  readonly sent = new Map<string, Traffic>();
  readonly received = new Map<string, Traffic>();
  rows = 0;
  rowBytes = 0;
  entries = 0;
  logBytes = 0;
  syncedWrites = 0;

  /** One hop. */
  static note(side: Map<string, Traffic>, kind: string, bytes: number): void {
    const traffic = side.get(kind);
    if (traffic === undefined) side.set(kind, { messages: 1, bytes });
    else {
      traffic.messages += 1;
      traffic.bytes += bytes;
    }
  }

  clear(): void {
    this.eventsMs = 0;
    this.sent.clear();
    this.received.clear();
    this.rows = 0;
    this.rowBytes = 0;
    this.entries = 0;
    this.logBytes = 0;
    this.syncedWrites = 0;
  }
}

export function totalOf(side: ReadonlyMap<string, Traffic>): Traffic {
  const total = { messages: 0, bytes: 0 };
  for (const { messages, bytes } of side.values()) {
    total.messages += messages;
    total.bytes += bytes;
  }
  return total;
}

/**
 * Time around the events of a world, charged to the machine whose event it was: what a message costs to make is its
 * sender's, what it costs to read and to act upon is the receiver's. Sockets and disks cost nothing here. The clock that
 * can be read a million times is the wall's; other programs run beside this one, so what a phase took by it is scaled to
 * the CPU that the process had meanwhile.
 */
export class CpuMeter {
  readonly #ledgers = new Map<number, Ledger>();
  #beganAtMs = 0;
  #phaseCpuMs = cpuMs();
  #phaseWallMs = performance.now();

  of(scopeNumber: number): Ledger {
    let ledger = this.#ledgers.get(scopeNumber);
    if (ledger === undefined) {
      ledger = new Ledger();
      this.#ledgers.set(scopeNumber, ledger);
    }
    return ledger;
  }

  begin(): void {
    this.#beganAtMs = performance.now();
  }

  end(scopeNumber: number): void {
    const ledger = this.#ledgers.get(scopeNumber);
    if (ledger !== undefined) ledger.eventsMs += performance.now() - this.#beganAtMs;
  }

  /** CPU in each millisecond of wall time since `clear`. */
  get share(): number {
    return (cpuMs() - this.#phaseCpuMs) / (performance.now() - this.#phaseWallMs);
  }

  clear(): void {
    for (const ledger of this.#ledgers.values()) ledger.clear();
    this.#phaseCpuMs = cpuMs();
    this.#phaseWallMs = performance.now();
  }
}

export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
