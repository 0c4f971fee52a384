/** The command line of the programs that look for violations, for as long as they are told to. */
import { parseArgs } from 'node:util'
import { parseCount } from '../../bench/program.ts'

const VIOLATIONS_SHOWN_MAX = 20

export interface Driver<Count extends string> {
  readonly help: string
  /** Options that take a whole number of 1 or more, with their defaults. */
  readonly counts: Readonly<Record<Count, number>>
  /** @param progress - shows a line in place of the last one. */
  readonly run: (
    counts: Readonly<Record<Count, number>>,
    progress: (line: string) => void,
  ) => Promise<{ readonly violations: readonly string[] }>
}

/**
 * Prints the result as a line of JSON, with the number of violations, and then the first of them.
 *
 * @returns the exit code: 1 if there was a violation, 2 if the options can't be understood.
 */
export async function runDriver<Count extends string>(
  { help, counts, run }: Driver<Count>,
  args: readonly string[],
): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(help)
    return 0
  }
  let asked: Record<Count, number>
  try {
    asked = readCounts(counts, args)
  } catch (error) {
    process.stderr.write(`Error: ${error instanceof Error ? error.message : error}\n\n${help}`)
    return 2
  }
  const result = await run(asked, (line) => process.stderr.write(`\r${line} `))
  process.stderr.write('\n')
  const { violations } = result
  process.stdout.write(`${JSON.stringify({ ...result, violations: violations.length })}\n`)
  for (const violation of violations.slice(0, VIOLATIONS_SHOWN_MAX)) process.stdout.write(`${violation}\n`)
  return violations.length === 0 ? 0 : 1
}

function readCounts<Count extends string>(
  defaults: Readonly<Record<Count, number>>,
  args: readonly string[],
): Record<Count, number> {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }] as const))
  const { values } = parseArgs({ args: [...args], options })
  const counts: Record<Count, number> = { ...defaults }
  for (const [name, text] of Object.entries(values)) {
    counts[name as Count] = parseCount(name, String(text))
  }
  return counts
}
