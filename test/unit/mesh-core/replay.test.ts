import { expect, test } from 'vitest';
import type { MeshMachine } from '../../../coordinator/core/mesh/machine.ts';
import type { CommandBatch, MeshCommand } from '../../../src/model/commands.ts';
import { fc } from '../../support/properties.ts';
import { idOf, MeshWorld, offer, SETTINGS, viewOf } from './world.ts';

/** Few of everything, so that commands meet each other. */
const name = fc.constantFrom('a', 'b', 'c', 'd');
const machine = fc.oneof(
  name.map(idOf),
  name.map((one) => `peer${one}/00000002`),
);
const pool = fc.constantFrom('default', 'p', 'Q', 'ghost');
const container = fc.constantFrom('box', 'bag', 'NO');
const blobName = fc.constantFrom('x', 'x/y', 'é', 'é'.repeat(900), `${'é'.repeat(900)}z`, '..');
const manifest = fc.constantFrom('0', '1', '2').map((digit) => digit.repeat(64));
const application = fc.constantFrom('tool', 'TOOL', 'other', 'no.pe');
const version = fc.constantFrom('1', '1.a', '1.A', '..');
const references = fc.array(
  fc.record({ applicationId: application, version }, { requiredKeys: ['applicationId'] }),
  { maxLength: 1 },
);
const voters = fc.constantFrom([idOf('a')], [idOf('a'), idOf('b'), idOf('c')], [], [idOf('a'), idOf('b')]);
const nodeName = fc
  .integer({ min: 1, max: 30 })
  .map((number) => `tvm-${number.toString(16).padStart(8, '0')}`);
const option = fc.constantFrom('requeue', 'terminate', 'taskcompletion', 'retaineddata');
const offered = fc
  .tuple(
    name,
    fc.constantFrom('00000001', '00000002'),
    fc.constantFrom('host', 'HOST', undefined),
    fc.constantFrom(2, 4, 8),
  )
  .map(([one, incarnation, called, cores]) =>
    offer(one, {
      id: `peer${one}/${incarnation}`,
      name: called ?? one,
      capacity: { ...offer(one).capacity, cores },
    }),
  );
const condition = fc.constantFrom({}, { condition: { ifMatch: '*' } }, { condition: { ifMatch: '0x1' } });
const temp = fc.constantFrom('temp1', 'temp2', 'peera');

const command = fc.oneof(
  fc.constant({ kind: 'mesh.init', settings: SETTINGS, machine: offer('a') }),
  fc.constant({ kind: 'mesh.sweep' }),
  fc.record({
    kind: fc.constant('token.create'),
    id: fc.constantFrom('t1', 't2'),
    peer: temp,
    expiresAtMs: fc.integer({ min: 999_000, max: 1_010_000 }),
    uses: fc.integer({ min: 0, max: 3 }),
    createdBy: machine,
  }),
  fc.record({ kind: fc.constant('token.revoke'), id: fc.constantFrom('t1', 't2') }),
  {
    arbitrary: fc.record({ kind: fc.constant('machine.join'), tokenPeer: temp, machine: offered }),
    weight: 3,
  },
  fc.record({ kind: fc.constant('machine.update'), machine: offered }),
  fc.record({ kind: fc.constant('machine.drain'), machine, draining: fc.boolean() }),
  fc.record({ kind: fc.constant('machine.remove'), machine }),
  fc.record({
    kind: fc.constant('group.voters'),
    group: fc.constantFrom('mesh', 'pool:p', 'pool:default', 'pool:new', 'x'),
    voters,
    generation: fc.integer({ min: 0, max: 2 }),
  }),
  fc.record({
    kind: fc.constant('pool.add'),
    spec: fc.record({
      id: pool,
      vmSize: fc.constantFrom('machine', 'shoal.1c1g', 'standard_d2s_v3', 'huge'),
      targetDedicatedNodes: fc.integer({ min: 0, max: 3 }),
      applicationPackageReferences: references,
    }),
    voters,
  }),
  fc
    .tuple(pool, condition)
    .map(([id, when]) => ({ kind: 'pool.patch', pool: id, patch: { displayName: 'x' }, ...when })),
  fc.tuple(pool, references).map(([id, applicationPackageReferences]) => ({
    kind: 'pool.patch',
    pool: id,
    patch: { applicationPackageReferences },
  })),
  fc.record({
    kind: fc.constant('application.put'),
    application,
    version,
    manifest,
    sizeBytes: fc.constantFrom(10, 10, 10, 11),
    holders: fc.array(machine, { maxLength: 2 }),
    makeDefault: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('application.update'),
    application,
    patch: fc.record(
      { defaultVersion: fc.option(version), allowUpdates: fc.boolean() },
      { requiredKeys: [] },
    ),
  }),
  fc.record(
    { kind: fc.constant('application.delete'), application, version },
    { requiredKeys: ['kind', 'application'] },
  ),
  fc
    .tuple(pool, condition, fc.integer({ min: 0, max: 3 }), option)
    .map(([id, when, targetDedicatedNodes, nodeDeallocationOption]) => ({
      kind: 'pool.resize',
      pool: id,
      resize: { targetDedicatedNodes, nodeDeallocationOption },
      ...when,
    })),
  fc.record({
    kind: fc.constantFrom('pool.stopResize', 'pool.delete', 'pool.erase', 'pool.disableAutoScale'),
    pool,
  }),
  fc
    .tuple(pool, condition, fc.constantFrom('$TargetDedicatedNodes = 2', 'x = ', undefined))
    .map(([id, when, autoScaleFormula]) => ({
      kind: 'pool.enableAutoScale',
      pool: id,
      change: autoScaleFormula === undefined ? { autoScaleOnChange: true } : { autoScaleFormula },
      ...when,
    })),
  fc.record({
    kind: fc.constant('pool.removeNodes'),
    pool,
    nodes: fc.array(nodeName, { maxLength: 2 }),
    option,
  }),
  {
    arbitrary: fc.record({
      kind: fc.constant('allot'),
      add: fc.array(
        fc.record({
          node: nodeName,
          pool,
          machine,
          cores: fc.constantFrom(1, 2, 4),
          memoryBytes: fc.constant(1024 ** 3),
          slots: fc.constant(1),
          dedicated: fc.boolean(),
          labels: fc.constant([]),
        }),
        { maxLength: 3 },
      ),
      leave: fc.array(fc.record({ node: nodeName, option, reason: fc.constantFrom('resize', 'preempted') }), {
        maxLength: 2,
      }),
      resizeErrors: fc.array(
        fc.record({ pool, errors: fc.constant([{ code: 'AllocationFailed', message: 'x' }]) }),
        {
          maxLength: 1,
        },
      ),
      steady: fc.array(pool, { maxLength: 2 }),
    }),
    weight: 4,
  },
  fc.record({ kind: fc.constant('node.released'), nodes: fc.array(nodeName, { maxLength: 4 }) }),
  fc.record({
    kind: fc.constant('job.reserve'),
    job: fc.constantFrom('j1', 'J1', 's:job-1', 'bad id'),
    pool,
    voters,
    replaces: pool,
  }),
  fc.record({ kind: fc.constant('job.release'), job: fc.constantFrom('j1', 's:job-1'), pool }),
  fc.record({ kind: fc.constantFrom('container.create', 'container.delete'), name: container }),
  {
    arbitrary: fc.record({
      kind: fc.constant('blob.put'),
      container,
      createContainer: fc.boolean(),
      blobs: fc.array(
        fc
          .tuple(blobName, manifest, fc.array(machine, { maxLength: 2 }), fc.integer({ min: -1, max: 3 }))
          .map(([called, content, holders, epoch]) => ({
            name: called,
            sizeBytes: 5,
            manifest: content,
            holders,
            ...(epoch < 0 ? {} : { origin: { pool: 'p', job: 1, task: 1, epoch } }),
          })),
        { maxLength: 3 },
      ),
    }),
    weight: 4,
  },
  fc.record({ kind: fc.constant('blob.delete'), container, names: fc.array(blobName, { maxLength: 2 }) }),
  fc.record({
    kind: fc.constant('blob.holders'),
    changes: fc.array(
      fc.record({
        manifest,
        add: fc.array(machine, { maxLength: 2 }),
        remove: fc.array(machine, { maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
  }),
) as unknown as fc.Arbitrary<MeshCommand>;

const entries = fc.array(
  fc.record({
    stepMs: fc.integer({ min: -500, max: 2_000 }),
    commands: fc.array(
      fc.record({ requestId: fc.option(fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5')), command }),
      { minLength: 1, maxLength: 4 },
    ),
  }),
  { minLength: 1, maxLength: 60 },
);

test('any history: rows give the same state back at any point, and a replay writes the same bytes', () => {
  fc.assert(
    fc.property(entries, fc.nat(), (history, reloadAt) => {
      const world = new MeshWorld({ requestIdsKept: 3 }).init('a', 'b', 'c');
      const reloadedAt = reloadAt % history.length;
      let copy: MeshMachine | undefined;
      for (const [at, { stepMs, commands }] of history.entries()) {
        if (at === reloadedAt) copy = world.reload();
        world.timeMs += stepMs;
        const applied = world.apply(commands);
        if (copy !== undefined) {
          const again = copy.apply(world.index, batchOf(world.timeMs, commands));
          expect(again.writes).toEqual(applied.writes);
          expect(again.results).toEqual(applied.results);
          expect(again.effects).toEqual(applied.effects);
        }
        checkInvariants(world.machine);
      }
      expect(viewOf(world.reload())).toEqual(viewOf(world.machine));
      if (copy !== undefined) expect(viewOf(copy)).toEqual(viewOf(world.machine));
    }),
    { numRuns: 150 },
  );
});

function batchOf(timeMs: number, commands: CommandBatch['commands']): CommandBatch {
  return structuredClone({ timeMs, commands });
}

function checkInvariants(mesh: MeshMachine): void {
  mesh.sanityCheck();
  for (const { id, peer, capacity } of mesh.machines()) {
    expect(mesh.allowedPeers().has(peer)).toBe(true);
    // A machine may have shrunk below what it hosts; the packer calls those back. Here memory never shrinks.
    const nodes = mesh.allotmentsOn(id);
    expect(nodes.reduce((sum, node) => sum + node.memoryBytes, 0)).toBeLessThanOrEqual(capacity.memoryBytes);
  }
}
