/** The demo's scene: spheres on a chequered ground. */

export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
  /** Light paths for each pixel. */
  readonly samples: number;
  readonly eye: readonly [number, number, number];
  readonly sky: readonly [number, number, number];
  readonly spheres: readonly {
    readonly centre: readonly number[];
    readonly radius: number;
    readonly colour: readonly number[];
    readonly shine: number;
    readonly glow: number;
  }[];
}

const COLOURS = [
  [0.9, 0.35, 0.25],
  [0.95, 0.75, 0.3],
  [0.35, 0.7, 0.45],
  [0.3, 0.55, 0.85],
  [0.6, 0.4, 0.75],
] as const;

export function makeScene(): Scene {
  const ring = Array.from({ length: 15 }, (_, number) => {
    const turn = (number / 15) * 2 * Math.PI;
    const radius = 0.35 + 0.2 * ((number * 7) % 3);
    return {
      centre: [3.4 * Math.cos(turn), radius, -6 + 3.4 * Math.sin(turn)],
      radius,
      colour: COLOURS[number % COLOURS.length] ?? [1, 1, 1],
      shine: number % 3 === 0 ? 0.8 : 0,
      glow: 0,
    };
  });
  const middle = { centre: [0, 1.5, -6], radius: 1.5, colour: [0.95, 0.95, 0.95], shine: 0.95, glow: 0 };
  const lamp = { centre: [2.5, 5, -4], radius: 1, colour: [1, 0.9, 0.7], shine: 0, glow: 4 };
  return {
    width: 640,
    height: 384,
    columns: 8,
    rows: 6,
    samples: 32,
    eye: [0, 1.6, 1.5],
    sky: [0.55, 0.7, 0.95],
    spheres: [middle, lamp, ...ring],
  } as Scene;
}
