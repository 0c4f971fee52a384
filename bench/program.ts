/** What `npm run bench` runs: a program answers one question about performance. */

export interface Program {
  /** One line: the question. */
  readonly question: string
  /** Printed for `--help`, without a run. */
  readonly help: string
  /** @returns the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>
}

/** What was typed can't be run. The message is for the reader. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * A whole number of 1 or more, from an option.
 *
 * @throws {@link UsageError}
 */
export function parseCount(option: string, text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0) {
    throw new UsageError(`'--${option} ${text}' is no whole number of 1 or more`)
  }
  return value
}

/** A list of such numbers, comma between them. @throws {@link UsageError} */
export function parseCounts(option: string, text: string): number[] {
  return text.split(',').map((number) => parseCount(option, number))
}

/**
 * A list of words, comma between them, from an option.
 *
 * @throws {@link UsageError}
 */
export function parseChoices<Choice extends string>(
  option: string,
  text: string,
  choices: readonly Choice[],
): Choice[] {
  return text.split(',').map((word) => {
    const choice = choices.find((each) => each === word)
    if (choice === undefined) throw new UsageError(`'--${option} ${word}' is none of ${choices.join(', ')}`)
    return choice
  })
}
