/** Words of a program's argument list as the one text that Azure Batch calls `commandLine`. */

/** Needs no quotes anywhere. `=` only behind a dash: a shell reads `a=b` at the start of a command as an assignment. */
const PLAIN_WORD = /^(?:[A-Za-z0-9_@%+:,./-]+|-[A-Za-z0-9_@%+=:,./-]+)$/;

/**
 * One argument, quoted so that both our splitter and a POSIX shell read back exactly this text. Single quotes keep
 * everything literal but themselves; one of those is written between double quotes, which needs no escape rule on
 * which readers could differ.
 */
export function quoteArgument(word: string): string {
  if (PLAIN_WORD.test(word)) return word;
  return `'${word.replaceAll("'", `'"'"'`)}'`;
}

/** The command line that starts `words[0]` with the rest as its arguments. */
export function joinCommandLine(words: readonly string[]): string {
  return words.map(quoteArgument).join(' ');
}

/** The command line that hands `script` to a shell, as Azure Batch's clients do when they want one. */
export function shellCommandLine(script: string): string {
  return `/bin/sh -c ${quoteArgument(script)}`;
}
