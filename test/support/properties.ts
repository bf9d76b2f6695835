/**
 * The values that property tests draw: the same in every run, so that a test that passed stays passed. To look for
 * more, `PROPERTIES=random npx vitest run --project modules` draws others, and a number in its place those of a run
 * that failed.
 */
import fc from 'fast-check';

const wished = process.env.PROPERTIES ?? '1';
if (wished !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(wished) });

export { fc };
