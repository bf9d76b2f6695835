import { describe, expect, it } from 'vitest';
import {
  containerConfigurationOf,
  readRunOptions,
  registryFor,
  registryOf,
  withoutPasswords,
} from '../../../src/model/container.ts';
import { validateTask } from '../../../src/model/validate.ts';

describe('the options of a container', () => {
  it('come as one word each, short names made long, and without --rm, which every container has', () => {
    expect(readRunOptions('--rm -w /work --net host -e "A=b c" --memory=2g --gpus all --read-only')).toEqual([
      '--workdir=/work',
      '--network=host',
      '--env=A=b c',
      '--memory=2g',
      '--gpus=all',
      '--read-only',
    ]);
    expect(readRunOptions('  ')).toEqual([]);
  });

  it.each([
    '--privileged',
    '-v /:/host',
    '--volume=/:/host',
    '--mount type=bind,source=/,target=/host',
    '--device /dev/sda',
    '--pid=host',
    '--ipc=host',
    '--user 0',
    '--userns host',
    '--cap-add ALL',
    '--security-opt seccomp=unconfined',
    '--network=container:other',
    '--env-file /etc/shadow',
    '-e HOME',
    '--workdir',
    '--rm=false',
    '--tmpfs /x:/y',
    'image',
    '-',
    '--',
    '"',
  ])('may not reach beyond it: %s', (options) => {
    expect(() => readRunOptions(options)).toThrowError(
      expect.objectContaining({ code: 'InvalidPropertyValue' }),
    );
    const settings = { imageName: 'busybox', containerRunOptions: options };
    expect(validateTask({ id: 'a', commandLine: 'true', containerSettings: settings })).toMatchObject({
      code: 'InvalidPropertyValue',
      values: { PropertyName: 'containerSettings/containerRunOptions' },
    });
  });
});

describe('an image', () => {
  it.each([
    ['busybox', 'docker.io'],
    ['library/busybox:1', 'docker.io'],
    ['localhost/x', 'localhost'],
    ['registry.example:5000/a/b@sha256:00', 'registry.example:5000'],
  ])('%s is of the registry %s', (image, registry) => expect(registryOf(image)).toBe(registry));

  it('is fetched with the account of its task, else with that of its pool for the same server', () => {
    const ofPool = [
      { username: 'hub', password: 'a' },
      { username: 'own', password: 'b', registryServer: 'registry.example' },
    ];
    const own = { username: 'me', password: 'c', registryServer: 'registry.example' };
    expect(registryFor('registry.example/x', own, ofPool)).toBe(own);
    expect(registryFor('registry.example/x', undefined, ofPool)).toBe(ofPool[1]);
    expect(registryFor('busybox', undefined, ofPool)).toBe(ofPool[0]);
    expect(registryFor('other.example/x', undefined, ofPool)).toBeUndefined();
  });
});

describe('the containers of a pool', () => {
  const configuration = {
    imageReference: {},
    containerConfiguration: {
      type: 'dockerCompatible',
      containerImageNames: ['busybox', '--privileged', 7],
      containerRegistries: [{ username: 'a', password: 'secret' }, { identityReference: {} }, 'x'],
    },
  };

  it('are read with care from a property of any form', () => {
    expect(containerConfigurationOf(configuration)).toEqual({
      images: ['busybox'],
      registries: [{ username: 'a', password: 'secret' }],
    });
    for (const nothing of [undefined, null, 'x', [], {}, { containerConfiguration: 1 }])
      expect(containerConfigurationOf(nothing)).toEqual({ images: [], registries: [] });
  });

  it('are shown without passwords', () => {
    const shown = withoutPasswords(configuration);
    expect(JSON.stringify(shown)).not.toContain('secret');
    expect(shown).toMatchObject({ imageReference: {}, containerConfiguration: { type: 'dockerCompatible' } });
  });
});
