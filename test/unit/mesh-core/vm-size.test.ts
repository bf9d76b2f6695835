import { expect, test } from 'vitest';
import { parseVmSize } from '../../../src/model/vm-size.ts';

const GIB = 1024 ** 3;
const size = (cores: number, gib: number) => ({ kind: 'size', cores, memoryBytes: gib * GIB });

test('our own sizes: a whole machine, or cores and memory', () => {
  expect(parseVmSize('Machine')).toEqual({ kind: 'machine' });
  expect(parseVmSize('shoal.4c8g')).toEqual(size(4, 8));
  expect(parseVmSize('SHOAL.1C512G')).toEqual(size(1, 512));
});

test.each([
  ['standard_d2s_v3', 2, 8],
  ['STANDARD_D4s_V3', 4, 16],
  ['Standard_D8s_v3', 8, 32],
  ['Standard_D2as_v5', 2, 8],
  ['Standard_D4ls_v5', 4, 8],
  ['Standard_D96ads_v5', 96, 384],
  ['Standard_F2s_v2', 2, 4],
  ['Standard_F72s_v2', 72, 144],
  ['Standard_E4-2s_v5', 2, 32],
  ['Standard_E16ds_v4', 16, 128],
  ['Standard_E64s_v3', 64, 432],
  ['standard_a1_v2', 1, 2],
  ['Standard_A8m_v2', 8, 64],
  ['STANDARD_D1_V2', 1, 3.5],
  ['Standard_DS13_v2', 8, 56],
  ['Standard_D14', 16, 112],
  ['Standard_B1s', 1, 1],
  ['Standard_B2ms', 2, 8],
  ['Standard_B2ts_v2', 2, 1],
  ['Standard_B4ls_v2', 4, 8],
  ['Standard_NC6', 6, 56],
  ['Standard_NC6_Promo', 6, 56],
  ['Standard_NC4as_T4_v3', 4, 28],
  ['Standard_L8s_v3', 8, 64],
  ['small', 1, 1.75],
])('%s has %d cores and %d GiB', (name, cores, gib) => {
  expect(parseVmSize(name)).toEqual(size(cores, gib));
});

test.each([
  '',
  'shoal.0c1g',
  'shoal.4c',
  'shoal.4c8gb',
  'd2s_v3',
  'standard_',
  'standard_d2s_v1',
  'standard_z9_v9',
  'standard_e4-8s_v5',
  'machine2',
])('%j is no size', (name) => {
  expect(parseVmSize(name)).toBeUndefined();
});
