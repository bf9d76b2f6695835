import { AGENT_BUGS } from './agent-bugs.ts';
import { AUTOSCALE_BUGS } from './autoscale-bugs.ts';
import { DRIVER_BUGS } from './driver-bugs.ts';
import { FILE_BUGS } from './file-bugs.ts';
import { MESH_STATE_BUGS } from './mesh-state-bugs.ts';
import type { PlantedBug } from './planted-bug.ts';
import { POOL_STATE_BUGS } from './pool-state-bugs.ts';
import { RAFT_BUGS } from './raft-bugs.ts';

/** All of them, by the part of the product that they spoil. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...RAFT_BUGS,
  ...DRIVER_BUGS,
  ...POOL_STATE_BUGS,
  ...AGENT_BUGS,
  ...FILE_BUGS,
  ...MESH_STATE_BUGS,
  ...AUTOSCALE_BUGS,
];
