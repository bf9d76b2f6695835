/**
 * How much V8 spends on compiling the worlds' code. Each worker thread has code of its own, and a thousand functions that
 * are all somewhat hot: with V8's defaults the first 25 worlds of a worker cost as much to optimize as to run, and a search
 * for one bug is no longer than that. What is inlined less, and optimized when it is twice as hot, costs a third of it to
 * compile and is as quick in the long run.
 */
import { setFlagsFromString } from 'node:v8';

/** Default 920 bytes of bytecode, over all that one function takes in. */
const INLINED_BYTES_MAX = 300;
/** Default 67,584 bytes of bytecode, run between two looks at how hot a function is. */
const INTERRUPT_BUDGET_BYTES = 140_000;

/** For the whole process: to be called before its first worker starts. */
export function compileLess(): void {
  setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES_MAX}`);
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET_BYTES}`);
}
