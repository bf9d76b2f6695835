/** Walks the whole state of the mesh group and throws on the first invariant that does not hold; it costs O(state). */
import { invariant } from '../../../src/lib/assert.ts';
import { idKey, poolGroup } from '../../../src/model/ids.ts';
import type { MeshState } from './state.ts';

export function checkMesh(state: MeshState): void {
  checkMembers(state);
  for (const allotment of state.allotments.all()) {
    const name = `node ${allotment.node}`;
    const pool = state.pools.get(allotment.pool);
    invariant(
      state.members.get(allotment.machine) !== undefined,
      `${name} is on a machine that is no member`,
    );
    invariant(pool !== undefined, `${name} is of a pool that does not exist`);
    invariant(
      pool.state !== 'deleting' || allotment.leaving !== undefined,
      `${name} stays in a pool that is being deleted`,
    );
  }
  for (const { spec } of state.pools.all()) checkCounts(state, spec.id);
  for (const { id, packages, defaultVersion } of state.applications.all()) {
    invariant(
      packages.every(({ manifest, sizeBytes }) => state.contents.get(manifest)?.sizeBytes === sizeBytes),
      `the application ${id} has a package without content`,
    );
    invariant(
      defaultVersion === undefined || packages.some(({ version }) => version === defaultVersion),
      `the application ${id} has a default version that it does not have`,
    );
  }
  for (const { spec, state: life } of state.pools.all())
    invariant(
      life === 'deleting' ||
        state.applications.checkReferences(spec.applicationPackageReferences) === undefined,
      `the pool ${spec.id} refers to an application package that is not there`,
    );
  for (const { spec } of state.pools.all())
    invariant(state.groups.get(poolGroup(spec.id)) !== undefined, `pool ${spec.id} has no group`);
  for (const { group, voters } of state.groups.all())
    invariant(voters.length > 0, `the group ${group} has no voter`);
}

function checkCounts(state: MeshState, pool: string): void {
  const staying = state.allotments.ofPool(pool).filter(({ leaving }) => leaving === undefined);
  const dedicated = staying.filter((node) => node.dedicated).length;
  const counts = state.allotments.countOf(pool);
  invariant(
    counts.dedicated === dedicated && counts.lowPriority === staying.length - dedicated,
    `pool ${pool} has not as many nodes as it counts`,
  );
}

function checkMembers(state: MeshState): void {
  const names = new Set<string>();
  for (const { id, peer, name } of state.members.all()) {
    invariant(!names.has(idKey(name)), `two machines have the name ${name}`);
    names.add(idKey(name));
    invariant(state.members.byPeer(peer)?.id === id, `machine ${name} is not found by its peer`);
    const hosted = state.allotments.onMachine(id);
    invariant(
      hosted.every(({ machine }) => machine === id),
      `machine ${name} is said to host nodes that are elsewhere`,
    );
  }
}
