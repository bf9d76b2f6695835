/** How busy a machine is, as it says of itself with its heartbeats. */

/** In the order in which they are sent. New ones go to the end. Those from the third on are of the period since the report before. */
export const MACHINE_LOADS = [
  /** Of all cores together, 0 to 100, over the period. */
  'cpuPercent',
  /** In use now. */
  'memoryBytes',
  /** In use now, of the disk that holds the agent's data. */
  'diskBytes',
  'diskReadBytes',
  'diskWriteBytes',
  'diskReadOps',
  'diskWriteOps',
  'networkInBytes',
  'networkOutBytes',
] as const;
export type MachineLoadName = (typeof MACHINE_LOADS)[number];

export interface MachineLoad {
  /** Another one for each report of a machine. */
  readonly sequence: number;
  readonly values: readonly number[];
}
