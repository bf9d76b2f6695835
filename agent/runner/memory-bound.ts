/** Resident memory of one execution, summed over its processes. */
export interface MemoryUse {
  readonly name: string;
  readonly node: string;
  readonly bytes: number;
}

export interface Overweight {
  readonly name: string;
  readonly message: string;
}

export interface MemoryFinding {
  /** These must go. */
  readonly overweight: readonly Overweight[];
  /** A node uses more than half of its bound: look again sooner. */
  readonly isNear: boolean;
}

/**
 * A node's bound holds for its tasks together, and the largest goes first until the rest fits. Pages that
 * processes share count more than once: this is a bound that protects the machine, not an account. Pure.
 */
export function findOverweight(
  uses: readonly MemoryUse[],
  bytesMaxOf: (node: string) => number | undefined,
): MemoryFinding {
  const overweight: Overweight[] = [];
  let isNear = false;
  for (const [node, neighbours] of groupByNode(uses)) {
    const bytesMax = bytesMaxOf(node);
    if (bytesMax === undefined) continue;
    let total = neighbours.reduce((sum, { bytes }) => sum + bytes, 0);
    isNear ||= total > bytesMax / 2;
    for (const { name, bytes } of neighbours.sort((a, b) => b.bytes - a.bytes)) {
      if (total <= bytesMax) break;
      const message =
        `The tasks of the node used ${total} bytes of memory and may use ${bytesMax}; ` +
        `this one used the most of those that were left, ${bytes}.`;
      overweight.push({ name, message });
      total -= bytes;
    }
  }
  return { overweight, isNear };
}

function groupByNode(uses: readonly MemoryUse[]): Map<string, MemoryUse[]> {
  const byNode = new Map<string, MemoryUse[]>();
  for (const use of uses) {
    const neighbours = byNode.get(use.node);
    if (neighbours === undefined) byNode.set(use.node, [use]);
    else neighbours.push(use);
  }
  return byNode;
}
