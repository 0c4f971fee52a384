/** What is wrong in a config file, and where. */

/** A place in the file; both count from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface Problem {
  readonly severity: 'error' | 'warning'
  /** `undefined` where the file could not be read at all. */
  readonly line: number | undefined
  readonly column: number | undefined
  readonly message: string
  /** What to write instead. */
  readonly hint: string | undefined
}

/** `FILE:LINE:COLUMN: error: message (hint)`, the form that editors and terminals make a link of. */
export function formatProblem(file: string, problem: Problem): string {
  const place = problem.line === undefined ? file : `${file}:${problem.line}:${problem.column ?? 1}`
  const hint = problem.hint === undefined ? '' : ` (${problem.hint})`
  return `${place}: ${problem.severity}: ${problem.message}${hint}`
}

/**
 * A config file that can't be used. `message` is the one text that KES prints for such a file, so
 * `Error: <message>` on stderr is what scripts around KES know; `problems` has all of them, warnings too.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly file: string
  /** In file order. */
  readonly problems: readonly Problem[]

  constructor(file: string, problems: readonly Problem[], message: string, options?: ErrorOptions) {
    super(message, options)
    this.file = file
    this.problems = problems
  }

  /** Every problem, one a line. */
  format(): string {
    return this.problems.map((problem) => formatProblem(this.file, problem)).join('\n')
  }
}

/** Every problem of the file that has a place, as lines to stand below the error's message, which they don't repeat. */
export function placesOf({ file, problems, message }: ConfigError): string[] {
  const told = problems.find((problem) => problem.message === message)
  return problems
    .filter(({ line }) => line !== undefined)
    .map((problem) => (problem === told ? formatPlace(file, problem) : formatProblem(file, problem)))
}

function formatPlace(file: string, { line, column = 1, hint }: Problem): string {
  return `${file}:${line}:${column}${hint === undefined ? '' : `: ${hint}`}`
}
