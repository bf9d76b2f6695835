/**
 * The demo's render program, run by its tasks: a small path tracer in plain JavaScript. Equal scene, equal tile, equal
 * bytes: all randomness comes from the pixel's own seed.
 *
 *     node renderer.mjs tile SCENE NUMBER OUTPUT      one tile as raw RGB
 *     node renderer.mjs merge SCENE OUTPUT            all tiles beside it (tile-<n>.rgb) as one PNG
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';

const [verb, sceneFile, ...rest] = process.argv.slice(2);
const scene = JSON.parse(readFileSync(sceneFile, 'utf8'));
const { width, height, columns, rows, samples } = scene;
const tileWidth = width / columns;
const tileHeight = height / rows;

if (verb === 'tile') {
  const [number, output] = rest;
  writeFileSync(output, renderTile(Number(number)));
  process.stdout.write(`tile ${number} done\n`);
} else {
  const [output] = rest;
  writeFileSync(
    output,
    merge((number) => readFileSync(`tile-${number}.rgb`)),
  );
  process.stdout.write(`${columns * rows} tiles merged into ${width}x${height}\n`);
}

function renderTile(number) {
  const left = (number % columns) * tileWidth;
  const top = Math.floor(number / columns) * tileHeight;
  const pixels = Buffer.alloc(tileWidth * tileHeight * 3);
  for (let y = 0; y < tileHeight; y += 1) {
    for (let x = 0; x < tileWidth; x += 1) {
      const random = generator((top + y) * width + left + x + 1);
      let colour = [0, 0, 0];
      for (let sample = 0; sample < samples; sample += 1)
        colour = add(colour, trace(cameraRay(left + x + random(), top + y + random()), random, 0));
      colour.forEach((value, channel) => {
        pixels[(y * tileWidth + x) * 3 + channel] = Math.round(
          255 * Math.min(1, value / samples) ** (1 / 2.2),
        );
      });
    }
  }
  return pixels;
}

/** Mulberry32. */
function generator(seed) {
  let state = Math.imul(seed, 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function add(a, b) {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}
function scale(a, factor) {
  return [a[0] * factor, a[1] * factor, a[2] * factor];
}
function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
function unit(a) {
  return scale(a, 1 / Math.sqrt(dot(a, a)));
}

function cameraRay(x, y) {
  const across = ((2 * x) / width - 1) * (width / height) * 0.7;
  const up = (1 - (2 * y) / height) * 0.7;
  return { from: scene.eye, way: unit([across, up - 0.12, -1]) };
}

function trace({ from, way }, random, depth) {
  const hit = nearest(from, way);
  if (hit === undefined) return scale(scene.sky, 0.6 + 0.4 * Math.max(0, way[1]));
  if (depth >= 5) return [0, 0, 0];
  const point = add(from, scale(way, hit.distance));
  const normal = hit.normal(point);
  const mirrored = add(way, scale(normal, -2 * dot(way, normal)));
  const next = unit(
    add(hit.shine > random() ? mirrored : normal, scale(anywhere(random), hit.shine > 0 ? 0.05 : 0.999)),
  );
  const light = trace({ from: add(point, scale(normal, 1e-4)), way: next }, random, depth + 1);
  const colour = hit.colour(point);
  return add(scale(colour, hit.glow), [light[0] * colour[0], light[1] * colour[1], light[2] * colour[2]]);
}

function anywhere(random) {
  const z = 2 * random() - 1;
  const turn = 2 * Math.PI * random();
  const ring = Math.sqrt(1 - z * z);
  return [ring * Math.cos(turn), ring * Math.sin(turn), z];
}

function nearest(from, way) {
  let best;
  for (const sphere of scene.spheres) {
    const offset = add(from, scale(sphere.centre, -1));
    const half = dot(offset, way);
    const inside = half * half - dot(offset, offset) + sphere.radius ** 2;
    if (inside < 0) continue;
    const distance = -half - Math.sqrt(inside);
    if (distance < 1e-4 || distance >= (best?.distance ?? Infinity)) continue;
    best = {
      distance,
      normal: (point) => unit(add(point, scale(sphere.centre, -1))),
      colour: () => sphere.colour,
      shine: sphere.shine,
      glow: sphere.glow,
    };
  }
  const ground = -from[1] / way[1];
  if (ground > 1e-4 && ground < (best?.distance ?? 60)) {
    const squares = (point) =>
      (Math.floor(point[0]) + Math.floor(point[2])) & 1 ? [0.85, 0.85, 0.8] : [0.2, 0.28, 0.35];
    best = { distance: ground, normal: () => [0, 1, 0], colour: squares, shine: 0, glow: 0 };
  }
  return best;
}

function merge(tileOf) {
  const stride = width * 3 + 1;
  const image = Buffer.alloc(stride * height);
  for (let number = 0; number < columns * rows; number += 1) {
    const tile = tileOf(number);
    const left = (number % columns) * tileWidth;
    const top = Math.floor(number / columns) * tileHeight;
    for (let y = 0; y < tileHeight; y += 1)
      tile.copy(image, (top + y) * stride + 1 + left * 3, y * tileWidth * 3, (y + 1) * tileWidth * 3);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    block('IHDR', header),
    block('IDAT', deflateSync(image)),
    block('IEND', Buffer.alloc(0)),
  ]);
}

function block(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
