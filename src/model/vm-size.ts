/**
 * Sizes of nodes by name: `machine` (all of a machine), our own `shoal.<cores>c<GiB>g`, and Azure's names, of which
 * only cores and memory mean anything here. Figures are those of the Azure pages "Sizes for virtual machines in
 * Azure" (one page a series) and "Sizes for Cloud Services". Most series have a fixed memory for each core and say
 * the cores in the name; the rest is a table.
 */
export type VmSize =
  | { readonly kind: 'machine' }
  | { readonly kind: 'size'; readonly cores: number; readonly memoryBytes: number };

const GIB = 1024 ** 3;

/** Undefined where the name is unknown. Case does not matter. */
export function parseVmSize(text: string): VmSize | undefined {
  const name = text.toLowerCase();
  if (name === 'machine') return { kind: 'machine' };
  return parseOwn(name) ?? parseIrregular(name) ?? parseSeries(name);
}

function parseOwn(name: string): VmSize | undefined {
  const match = /^shoal\.([1-9]\d{0,3})c([1-9]\d{0,5})g$/.exec(name);
  return match === null ? undefined : size(Number(match[1]), Number(match[2]));
}

function parseIrregular(name: string): VmSize | undefined {
  const row = IRREGULAR.get(name.replace(/_promo$/, ''));
  return row === undefined ? undefined : size(row[0], row[1]);
}

/**
 * `standard_<series><cores>[-<cores in use>]<features>[_<accelerator>][_v<version>]`, as "Azure virtual machine sizes
 * naming conventions" has it. A constrained size (`e8-2s_v5`) has the memory of the first number, the cores of the second.
 */
function parseSeries(name: string): VmSize | undefined {
  const match = /^standard_([a-z]{1,2})(\d{1,3})(?:-(\d{1,3}))?([a-z]*)(?:_v(\d))?$/.exec(name);
  if (match === null) return undefined;
  const [, series = '', full = '', constrained, features = '', version = '1'] = match;
  const cores = Number(full);
  const memoryPerCore = gibPerCore(series, features, Number(version));
  if (cores < 1 || memoryPerCore === undefined) return undefined;
  const used = constrained === undefined ? cores : Number(constrained);
  return used < 1 || used > cores ? undefined : size(used, cores * memoryPerCore);
}

function gibPerCore(series: string, features: string, version: number): number | undefined {
  switch (series) {
    case 'a':
      return version === 2 ? (features.startsWith('m') ? 8 : 2) : undefined;
    case 'b':
      if (version < 2) return undefined;
      return features.includes('t') ? 0.5 : features.includes('l') ? 2 : 4;
    case 'd':
    case 'dc':
      // Versions 1 and 2 count sizes instead of cores: see the table.
      return version < 3 ? undefined : features.includes('l') ? 2 : 4;
    case 'e':
    case 'ec':
      return version < 3 ? undefined : 8;
    case 'f':
      return features.includes('m') ? 8 : features.startsWith('a') && !features.includes('l') ? 4 : 2;
    case 'g':
      return undefined;
    case 'l':
      return 8;
    default:
      return undefined;
  }
}

function size(cores: number, memoryGib: number): VmSize {
  return { kind: 'size', cores, memoryBytes: Math.round(memoryGib * GIB) };
}

/** Name -> [cores, GiB]. */
const IRREGULAR: ReadonlyMap<string, readonly [number, number]> = new Map<string, readonly [number, number]>([
  // Cloud Services names, which old Batch samples use.
  ['small', [1, 1.75]],
  ['medium', [2, 3.5]],
  ['large', [4, 7]],
  ['extralarge', [8, 14]],
  // A: the number is a rank, not the cores.
  ['standard_a0', [1, 0.75]],
  ['standard_a1', [1, 1.75]],
  ['standard_a2', [2, 3.5]],
  ['standard_a3', [4, 7]],
  ['standard_a4', [8, 14]],
  ['standard_a5', [2, 14]],
  ['standard_a6', [4, 28]],
  ['standard_a7', [8, 56]],
  ['standard_a8', [8, 56]],
  ['standard_a9', [16, 112]],
  ['standard_a10', [8, 56]],
  ['standard_a11', [16, 112]],
  // B of the first version: memory by letter.
  ['standard_b1ls', [1, 0.5]],
  ['standard_b1s', [1, 1]],
  ['standard_b1ms', [1, 2]],
  ['standard_b2s', [2, 4]],
  ['standard_b2ms', [2, 8]],
  ['standard_b4ms', [4, 16]],
  ['standard_b8ms', [8, 32]],
  ['standard_b12ms', [12, 48]],
  ['standard_b16ms', [16, 64]],
  ['standard_b20ms', [20, 80]],
  ...ranked('d'),
  ...ranked('ds'),
  // E: the largest ones have less than 8 GiB for each core.
  ['standard_e64_v3', [64, 432]],
  ['standard_e64s_v3', [64, 432]],
  ['standard_e64i_v3', [64, 432]],
  ['standard_e64is_v3', [64, 432]],
  ['standard_e64_v4', [64, 504]],
  ['standard_e64s_v4', [64, 504]],
  ['standard_e64d_v4', [64, 504]],
  ['standard_e64ds_v4', [64, 504]],
  ['standard_e96_v5', [96, 672]],
  ['standard_e96s_v5', [96, 672]],
  ['standard_e96d_v5', [96, 672]],
  ['standard_e96ds_v5', [96, 672]],
  // G.
  ['standard_g1', [2, 28]],
  ['standard_g2', [4, 56]],
  ['standard_g3', [8, 112]],
  ['standard_g4', [16, 224]],
  ['standard_g5', [32, 448]],
  // H: high-performance computing.
  ['standard_h8', [8, 56]],
  ['standard_h16', [16, 112]],
  ['standard_h16r', [16, 112]],
  ['standard_h8m', [8, 112]],
  ['standard_h16m', [16, 224]],
  ['standard_h16mr', [16, 224]],
  ['standard_hb60rs', [60, 228]],
  ['standard_hb120rs_v2', [120, 456]],
  ['standard_hb120rs_v3', [120, 448]],
  ['standard_hc44rs', [44, 352]],
  // N: with GPUs. A pool that needs one asks for it by a label.
  ['standard_nc6', [6, 56]],
  ['standard_nc12', [12, 112]],
  ['standard_nc24', [24, 224]],
  ['standard_nc24r', [24, 224]],
  ['standard_nc6s_v2', [6, 112]],
  ['standard_nc12s_v2', [12, 224]],
  ['standard_nc24s_v2', [24, 448]],
  ['standard_nc6s_v3', [6, 112]],
  ['standard_nc12s_v3', [12, 224]],
  ['standard_nc24s_v3', [24, 448]],
  ['standard_nc24rs_v3', [24, 448]],
  ['standard_nc4as_t4_v3', [4, 28]],
  ['standard_nc8as_t4_v3', [8, 56]],
  ['standard_nc16as_t4_v3', [16, 110]],
  ['standard_nc64as_t4_v3', [64, 440]],
  ['standard_nc24ads_a100_v4', [24, 220]],
  ['standard_nc48ads_a100_v4', [48, 440]],
  ['standard_nc96ads_a100_v4', [96, 880]],
  ['standard_nc40ads_h100_v5', [40, 320]],
  ['standard_nc80adis_h100_v5', [80, 640]],
  ['standard_nd40rs_v2', [40, 672]],
  ['standard_nd96asr_v4', [96, 900]],
  ['standard_nv6', [6, 56]],
  ['standard_nv12', [12, 112]],
  ['standard_nv24', [24, 224]],
  ['standard_nv12s_v3', [12, 112]],
  ['standard_nv24s_v3', [24, 224]],
  ['standard_nv48s_v3', [48, 448]],
  ['standard_nv6ads_a10_v5', [6, 55]],
  ['standard_nv12ads_a10_v5', [12, 110]],
  ['standard_nv18ads_a10_v5', [18, 220]],
  ['standard_nv36ads_a10_v5', [36, 440]],
  ['standard_nv72ads_a10_v5', [72, 880]],
]);

/** D and DS of versions 1 and 2: ranks 1 to 5 with 3.5 GiB a core, 11 to 15 with 7. */
function ranked(series: string): [string, readonly [number, number]][] {
  const ranks: readonly (readonly [number, number])[] = [
    [1, 1],
    [2, 2],
    [3, 4],
    [4, 8],
    [5, 16],
    [11, 2],
    [12, 4],
    [13, 8],
    [14, 16],
    [15, 20],
  ];
  return ranks.flatMap(([rank, cores]) => {
    const row = [cores, cores * (rank > 10 ? 7 : 3.5)] as const;
    const second: [string, readonly [number, number]] = [`standard_${series}${rank}_v2`, row];
    return rank === 5 || rank === 15 ? [second] : [second, [`standard_${series}${rank}`, row]];
  });
}
