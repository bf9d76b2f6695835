import { expect, test } from 'vitest';
import { packNodes } from '../../../coordinator/placement/nodes.ts';
import { fc } from '../../support/properties.ts';
import { Estate, REPLACE_MS } from './estate.ts';
import { happen, happening, machineSize } from './happenings.ts';
import { packPlainly } from './plain-packing.ts';

test('whatever happens, the packer decides what it would decide if each node looked at every machine', () => {
  fc.assert(
    fc.property(
      fc.array(machineSize, { minLength: 1, maxLength: 12 }),
      // Several at a time, so that one packing has many wishes; and sometimes one is never carried out.
      fc.array(fc.tuple(fc.array(happening, { minLength: 1, maxLength: 8 }), fc.boolean()), {
        maxLength: 12,
      }),
      (sizes, rounds) => {
        const estate = new Estate(Object.fromEntries(sizes.map((size, at) => [`m${at}`, size])), true);
        let serial = 100;
        for (const [happenings, isApplied] of rounds) {
          for (const [what, detail] of happenings) {
            serial += 1;
            happen(estate, what, detail, serial);
          }
          if (serial % 3 === 0) estate.world.timeMs += REPLACE_MS;
          const view = estate.view();
          expect(packNodes(view)).toEqual(packPlainly(view));
          if (isApplied) estate.pack();
        }
      },
    ),
    { numRuns: 300 },
  );
});
