import { describe, expect, test } from 'vitest';
import { APPLICATION_VERSIONS_MAX, APPLICATIONS_MAX } from '../../../src/lib/limits.ts';
import type { ApplicationPackageReference, ApplicationPatch } from '../../../src/model/application-schema.ts';
import type { MeshCommand } from '../../../src/model/commands.ts';
import { idOf, MeshWorld, viewOf } from './world.ts';

const manifest = (number: number): string => number.toString(16).padStart(64, '0');

type Put = Extract<MeshCommand, { kind: 'application.put' }>;

const put = (application: string, version: string, number: number, over: Partial<Put> = {}): Put => ({
  kind: 'application.put',
  application,
  version,
  manifest: manifest(number),
  sizeBytes: 10,
  holders: [idOf('a')],
  makeDefault: false,
  ...over,
});

const update = (application: string, patch: ApplicationPatch): MeshCommand => ({
  kind: 'application.update',
  application,
  patch,
});

const remove = (application: string, version?: string): MeshCommand => ({
  kind: 'application.delete',
  application,
  ...(version === undefined ? {} : { version }),
});

const pool = (id: string, applicationPackageReferences: ApplicationPackageReference[]): MeshCommand => ({
  kind: 'pool.add',
  spec: { id, vmSize: 'machine', applicationPackageReferences },
  voters: [idOf('a')],
});

describe('an application', () => {
  test('is made by its first package, and found whatever the case', async () => {
    const world = new MeshWorld().init('a');
    world.ok(put('Blender', '4.2-LTS', 1));
    world.timeMs += 5;
    world.ok(put('blender', '4.3', 2, { makeDefault: true }));
    const found = await world.query('application.get', { application: 'BLENDER' });
    expect(found).toMatchObject({
      id: 'Blender',
      defaultVersion: '4.3',
      allowUpdates: true,
      packages: [
        { version: '4.2-LTS', manifest: manifest(1), sizeBytes: 10 },
        { version: '4.3', manifest: manifest(2), modifiedAtMs: world.timeMs },
      ],
    });
    expect(await world.query('application.list', {})).toEqual([found]);
    await expect(world.query('application.get', { application: 'maya' })).rejects.toMatchObject({
      code: 'ApplicationNotFound',
    });
  });

  test('replaces a version in its place, unless it does not allow that', () => {
    const world = new MeshWorld().init('a');
    world.ok(put('tool', '1.A', 1));
    world.ok(put('tool', '2', 2));
    world.ok(put('tool', '1.a', 3));
    expect(world.machine.applications()[0]?.packages.map((one) => [one.version, one.manifest])).toEqual([
      ['1.A', manifest(3)],
      ['2', manifest(2)],
    ]);
    world.ok(update('tool', { allowUpdates: false }));
    expect(world.code(put('tool', '1.a', 4))).toBe('OperationInvalidForCurrentState');
    expect(world.code(put('tool', '1.a', 3))).toBe('ok');
    expect(world.code(put('tool', '3', 4))).toBe('ok');
  });

  test('has as default only a version that it has', () => {
    const world = new MeshWorld().init('a');
    world.ok(put('tool', '1', 1));
    expect(world.code(update('tool', { defaultVersion: '2' }))).toBe('ApplicationNotFound');
    expect(world.code(update('nope', { defaultVersion: '1' }))).toBe('ApplicationNotFound');
    world.ok(update('tool', { defaultVersion: '1', displayName: 'Tool' }));
    world.ok(update('tool', { allowUpdates: false }));
    expect(world.machine.applications()).toMatchObject([
      { defaultVersion: '1', displayName: 'Tool', allowUpdates: false },
    ]);
    world.ok(remove('tool', '1'));
    expect(world.machine.applications()[0]).not.toHaveProperty('defaultVersion');
  });

  test('is refused whole where something about its package is wrong', () => {
    const world = new MeshWorld().init('a');
    const wrong: [MeshCommand, string][] = [
      [put('no dots.', '1', 1), 'InvalidPropertyValue'],
      [put('tool', '..', 1), 'InvalidPropertyValue'],
      [put('tool', '1/2', 1), 'InvalidPropertyValue'],
      [put('tool', '', 1), 'InvalidPropertyValue'],
      [put('tool', '1', 1, { manifest: 'zz' }), 'InvalidPropertyValue'],
      [put('tool', '1', 1, { sizeBytes: -1 }), 'TooLarge'],
      [put('tool', '1', 1, { sizeBytes: 2 ** 50 }), 'TooLarge'],
      [put('tool', '1', 1, { holders: [idOf('z')] }), 'MachineNotFound'],
    ];
    for (const [command, code] of wrong) expect(world.code(command)).toBe(code);
    expect(world.machine.applications()).toEqual([]);
  });

  test('is one of 20, with 40 versions at most', () => {
    const world = new MeshWorld().init('a');
    for (let at = 0; at < APPLICATIONS_MAX; at++) world.ok(put(`app${at}`, '1', 1));
    expect(world.code(put('one-more', '1', 1))).toBe('ApplicationQuotaReached');
    for (let at = 2; at <= APPLICATION_VERSIONS_MAX; at++) world.ok(put('app0', `${at}`, 1));
    expect(world.code(put('app0', '41', 1))).toBe('ApplicationQuotaReached');
    expect(world.code(put('app0', '40', 2))).toBe('ok');
  });
});

describe('the content of a package', () => {
  test('is kept and copied as that of a blob, until nothing names it any more', () => {
    const world = new MeshWorld().init('a', 'b');
    world.ok(put('tool', '1', 1));
    world.ok(put('tool', '2', 1));
    expect(world.machine.underCopied(10, () => true).map((one) => one.manifest)).toEqual([manifest(1)]);
    expect([...world.machine.blobsHeldBy(idOf('a'))]).toEqual([manifest(1)]);
    world.ok({ kind: 'blob.holders', changes: [{ manifest: manifest(1), add: [idOf('b')], remove: [] }] });
    expect(world.machine.underCopied(10, () => true)).toEqual([]);
    world.ok(remove('tool', '1'));
    expect(world.machine.isReferenced(manifest(1))).toBe(true);
    world.ok(put('tool', '2', 2));
    expect(world.machine.isReferenced(manifest(1))).toBe(false);
    world.ok(remove('tool'));
    expect(world.machine.isReferenced(manifest(2))).toBe(false);
    expect([...world.rows.keys()].filter((key) => 'hy'.includes(key[0] ?? ''))).toEqual([]);
  });

  test('is shared with a blob of the same bytes', () => {
    const world = new MeshWorld().init('a');
    world.ok(put('tool', '1', 1));
    const blob = { name: 'x', sizeBytes: 10, manifest: manifest(1), holders: [idOf('a')] };
    world.ok({ kind: 'blob.put', container: 'box', blobs: [blob], createContainer: true });
    world.ok(remove('tool'));
    expect(world.machine.isReferenced(manifest(1))).toBe(true);
    world.ok({ kind: 'blob.delete', container: 'box', names: ['x'] });
    expect(world.machine.isReferenced(manifest(1))).toBe(false);
  });

  test('is still named after a replica was loaded from its rows', () => {
    const world = new MeshWorld().init('a', 'b');
    world.ok(put('tool', '1', 1, { makeDefault: true }));
    world.ok(put('tool', '2', 2));
    const copy = world.reload();
    expect(viewOf(copy)).toEqual(viewOf(world.machine));
    expect(copy.applications()).toEqual(world.machine.applications());
    world.machine = copy;
    world.ok(remove('tool', '1'));
    expect(copy.isReferenced(manifest(1))).toBe(false);
    expect(copy.isReferenced(manifest(2))).toBe(true);
  });
});

describe('a pool', () => {
  test('refers only to packages that are there', () => {
    const world = new MeshWorld().init('a');
    world.ok(put('tool', '1', 1));
    const refused = (references: ApplicationPackageReference[]): void =>
      expect(world.code(pool('p', references))).toBe('InvalidApplicationPackageReferences');
    refused([{ applicationId: 'nope' }]);
    refused([{ applicationId: 'tool' }]);
    refused([{ applicationId: 'tool', version: '2' }]);
    refused(Array.from({ length: 11 }, () => ({ applicationId: 'tool', version: '1' })));
    world.ok(pool('p', [{ applicationId: 'TOOL', version: '1' }]));
    const patch = { applicationPackageReferences: [{ applicationId: 'tool' }] };
    expect(world.code({ kind: 'pool.patch', pool: 'p', patch })).toBe('InvalidApplicationPackageReferences');
    world.ok(update('tool', { defaultVersion: '1' }));
    expect(world.code({ kind: 'pool.patch', pool: 'p', patch })).toBe('ok');
  });

  test('keeps what it refers to from being deleted', () => {
    const world = new MeshWorld().init('a');
    world.ok(put('tool', '1', 1));
    world.ok(put('tool', '2', 2, { makeDefault: true }));
    world.ok(put('tool', '3', 3));
    world.ok(pool('p', [{ applicationId: 'Tool', version: '1' }]));
    world.ok(pool('q', [{ applicationId: 'tool' }]));
    for (const command of [
      remove('tool', '1'),
      remove('tool', '2'),
      remove('tool'),
      update('tool', { defaultVersion: null }),
    ]) {
      expect(world.code(command)).toBe('OperationInvalidForCurrentState');
    }
    expect(world.code(remove('tool', '3'))).toBe('ok');
    expect(world.code(remove('tool', '3'))).toBe('ApplicationNotFound');
    world.ok({ kind: 'pool.delete', pool: 'q' });
    expect(world.code(update('tool', { defaultVersion: null }))).toBe('ok');
    expect(world.code(remove('tool', '2'))).toBe('ok');
    world.ok({ kind: 'pool.delete', pool: 'p' });
    expect(world.code(remove('tool'))).toBe('ok');
    expect(world.code(remove('tool'))).toBe('ApplicationNotFound');
  });
});
