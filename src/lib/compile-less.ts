/**
 * How much V8 spends on compiling. An agent has a thousand functions that are all somewhat hot: with V8's defaults an
 * eighth of what the first ten thousand tasks cost it goes into optimizing them, and the first 25 worlds of a simulator's
 * worker cost as much to optimize as to run. What is inlined less, and optimized when it is twice as hot, costs a third of
 * it to compile and is as quick in the long run.
 */
import { setFlagsFromString } from 'node:v8';

/** Default 920 bytes of bytecode, over all that one function takes in. */
const INLINED_BYTES_MAX = 300;
/** Default 67,584 bytes of bytecode, run between two looks at how hot a function is. */
const INTERRUPT_BUDGET_BYTES = 140_000;

/** For the whole process: to be called before there is much to compile, and before its first worker starts. */
export function compileLess(): void {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES_MAX}`);
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET_BYTES}`);
}
