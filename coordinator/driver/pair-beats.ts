import { RAFT_ELECTION_TICKS } from '../../src/lib/limits.ts';

/**
 * What the peace of quiet groups rests on: each pair of machines that share one hears of each other, whatever the number
 * of groups. Pure: it is told what is heard and how many ticks have passed. Ticks of our own loop are counted and not
 * time, so that a process which stood still takes nobody for lost that it could not have heard.
 */
export class PairBeats {
  readonly #silentTicks = new Map<string, number>();

  heard(peer: string): void {
    if (this.#silentTicks.has(peer)) this.#silentTicks.set(peer, 0);
  }

  /**
   * Returns who has not been heard for an election timeout and by how many ticks. `partners`: peers that quiet groups
   * rest with now; of who was none at the last turn the silence begins to count.
   */
  tick(ticks: number, partners: ReadonlySet<string>): ReadonlyMap<string, number> {
    const lost = new Map<string, number>();
    for (const peer of [...this.#silentTicks.keys()]) if (!partners.has(peer)) this.#silentTicks.delete(peer);
    for (const peer of partners) {
      const before = this.#silentTicks.get(peer);
      const silent = before === undefined ? 0 : before + ticks;
      this.#silentTicks.set(peer, silent);
      if (silent >= RAFT_ELECTION_TICKS) lost.set(peer, silent);
    }
    return lost;
  }
}
