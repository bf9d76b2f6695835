import { describe, expect, it } from 'vitest';
import { findOverweight } from '../../../agent/runner/memory-bound.ts';
import { fc } from '../../support/properties.ts';

describe('the memory bound of a node', () => {
  it('takes its largest task', () => {
    const uses = [
      { name: 'small', node: 'a', bytes: 10 },
      { name: 'large', node: 'a', bytes: 95 },
      { name: 'elsewhere', node: 'b', bytes: 1_000 },
    ];
    const { overweight, isNear } = findOverweight(uses, (node) => (node === 'a' ? 100 : undefined));
    expect(overweight.map(({ name }) => name)).toEqual(['large']);
    expect(isNear).toBe(true);
  });

  it('is kept by what is left, with as few victims as can be', () => {
    const use = fc.record({ name: fc.uuid(), node: fc.constantFrom('a', 'b'), bytes: fc.nat(100) });
    fc.assert(
      fc.property(fc.uniqueArray(use, { selector: ({ name }) => name }), fc.nat(300), (uses, bytesMax) => {
        const gone = new Set(findOverweight(uses, () => bytesMax).overweight.map(({ name }) => name));
        for (const node of ['a', 'b']) {
          const sizes = uses.filter((one) => one.node === node);
          const left = sizes.filter(({ name }) => !gone.has(name)).map(({ bytes }) => bytes);
          const sum = left.reduce((total, bytes) => total + bytes, 0);
          expect(sum).toBeLessThanOrEqual(bytesMax);
          const dead = sizes.filter(({ name }) => gone.has(name)).map(({ bytes }) => bytes);
          if (dead.length > 0) {
            expect(Math.min(...dead)).toBeGreaterThanOrEqual(Math.max(0, ...left));
            expect(sum + Math.min(...dead)).toBeGreaterThan(bytesMax);
          }
        }
      }),
    );
  });
});
