/** The planted bugs as a table: which world showed each, and by which rule. */
import { PLANTED_BUGS } from '../../test/sim/planted/bugs.ts';
import { complaintsWithoutBugs, type Finding, hunt } from '../../test/sim/planted/hunt.ts';

/** npm runs its scripts there. */
const ROOT = process.cwd();

/** Bugs whose names hold all the words. True if every one was found, and nothing is found where none is planted. */
export async function huntPlanted(words: readonly string[]): Promise<boolean> {
  const startedMs = performance.now();
  const bugs = PLANTED_BUGS.filter(({ name }) => words.every((word) => name.includes(word)));
  const width = Math.max(...bugs.map(({ name }) => name.length));
  const findings = await hunt(ROOT, bugs, (finding) => process.stdout.write(`${lineOf(finding, width)}\n`));
  const complaints = await complaintsWithoutBugs(ROOT, findings);
  for (const { seed, message } of complaints)
    process.stdout.write(`without any bug: seed ${seed}: ${message.split('\n')[0]}\n`);
  const found = findings.filter(({ caught }) => caught !== undefined).length;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(
    `${found} of ${bugs.length} found, ${complaints.length} complaints without bugs, ${seconds} s\n`,
  );
  return found === bugs.length && complaints.length === 0;
}

function lineOf({ bug, caught, others }: Finding, width: number): string {
  const seed = caught === undefined ? `none of ${bug.seedsMax}` : `seed ${caught.seed} of ${bug.seedsMax}`;
  const rule = caught?.rule ?? `only ${others[0]?.rule ?? 'silence'}`;
  return `${bug.name.padEnd(width)}  ${bug.world.padEnd(13)}  ${seed.padEnd(15)}  ${rule}`;
}
