/** The mesh group's state, by whichever machine has applied most of its log. */
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import { MESH_GROUP } from '../../../src/model/ids.ts';
import type { SimMachine } from './sim-machine.ts';

export function newestBooks(machines: readonly SimMachine[]): MeshMachine | undefined {
  let newest: { readonly index: number; readonly mesh: MeshMachine } | undefined;
  for (const { life } of machines) {
    const mesh = life?.coordinator?.mesh;
    const index = life?.coordinator?.host.replica(MESH_GROUP)?.appliedIndex ?? -1;
    if (mesh !== undefined && index > (newest?.index ?? -1)) newest = { index, mesh };
  }
  return newest?.mesh;
}
