/**
 * How many nodes a set of tasks fills, each task whole on one node: first fit, the largest first. With sizes that divide
 * each other that is the least there can be; with others it is at most about a fifth more (first-fit decreasing).
 *
 * Tasks of one size are alike, so a node's filling is repeated as often as its tasks last instead of placed one by one.
 */
export function nodesFor(tasksBySlots: ReadonlyMap<number, number>, slotsPerNode: number): number {
  // Larger ones can never run here: they must not make the pool grow for nothing.
  const left = [...tasksBySlots]
    .filter(([slots, tasks]) => slots >= 1 && slots <= slotsPerNode && tasks > 0)
    .sort(([a], [b]) => b - a)
    .map(([slots, tasks]) => ({ slots, tasks }));
  let nodes = 0;
  while (left.some(({ tasks }) => tasks > 0)) nodes += fillAlike(left, slotsPerNode);
  return nodes;
}

/** Fills one node, and as many more in the same way as there are tasks for. Returns how many. */
function fillAlike(left: readonly { readonly slots: number; tasks: number }[], slotsPerNode: number): number {
  let free = slotsPerNode;
  let repeats = Number.POSITIVE_INFINITY;
  const filling = left.map(({ slots, tasks }) => {
    const taken = Math.min(tasks, Math.floor(free / slots));
    free -= taken * slots;
    if (taken > 0) repeats = Math.min(repeats, Math.floor(tasks / taken));
    return taken;
  });
  left.forEach((size, at) => {
    size.tasks -= (filling[at] ?? 0) * repeats;
  });
  return repeats;
}
