/** Collects the problems of one config file, and knows which of them KES would have named. */
import { ConfigError, type Position, type Problem } from './problem.ts'

/**
 * KES stops at its first error; this is the order in which it looks. The stages of `late` it reaches only
 * after it has printed "up and running"; those of `ours` it does not have.
 */
const STAGES = [
  'file',
  'syntax',
  'version',
  'environment',
  'type',
  'admin',
  'tls',
  'proxy',
  'policy',
  'cache',
  'log',
  'api',
  'keys',
  'keystore',
  'address',
  'late',
  'ours',
] as const
export type Stage = (typeof STAGES)[number]

/** KES meets these while it decodes the file, so the first in the file wins; the rest go by section. */
const IN_FILE_ORDER: ReadonlySet<Stage> = new Set(['syntax', 'environment', 'type'])

interface Finding extends Problem {
  readonly stage: Stage
  readonly position: Position
}

export class Report {
  readonly #file: string
  readonly #isStrict: boolean
  readonly #findings: Finding[] = []

  /** @param isStrict - turns every warning into an error. */
  constructor(file: string, isStrict: boolean) {
    this.#file = file
    this.#isStrict = isStrict
  }

  error(stage: Stage, position: Position, message: string, hint?: string): void {
    this.#add('error', stage, position, message, hint)
  }

  warn(position: Position, message: string, hint?: string): void {
    this.#add(this.#isStrict ? 'error' : 'warning', 'ours', position, message, hint)
  }

  /** A warning of what is understood, and so is none of the errors of a strict reader. */
  advise(position: Position, message: string, hint?: string): void {
    this.#add('warning', 'ours', position, message, hint)
  }

  /** Every problem, in file order. */
  problems(): readonly Problem[] {
    return this.#findings
      .toSorted((a, b) => comparePositions(a.position, b.position))
      .map(({ severity, line, column, message, hint }) => ({ severity, line, column, message, hint }))
  }

  /** @throws {@link ConfigError} with all problems, if one of them is an error. */
  throwIfErrors(): void {
    const errors = this.#findings.filter((finding) => finding.severity === 'error').toSorted(compareAsKes)
    const first = errors[0]
    if (first !== undefined) throw new ConfigError(this.#file, this.problems(), kesText(first, errors))
  }

  #add(
    severity: Problem['severity'],
    stage: Stage,
    position: Position,
    message: string,
    hint: string | undefined,
  ) {
    const isKnown = this.#findings.some(
      (known) => known.message === message && comparePositions(known.position, position) === 0,
    )
    if (isKnown) return // A value is read twice where an alias or two rules lead to it.
    this.#findings.push({ severity, stage, position, ...position, message, hint })
  }
}

/** KES's text for the first error; it lists all wrong types in one. */
function kesText(first: Finding, errors: readonly Finding[]): string {
  if (first.stage === 'syntax') return `yaml: line ${first.position.line}: ${first.message}`
  if (first.stage !== 'type') return first.message
  const types = errors.filter((finding) => finding.stage === 'type')
  const lines = types.map((finding) => `  line ${finding.position.line}: ${finding.message}`)
  return ['yaml: unmarshal errors:', ...lines].join('\n')
}

function compareAsKes(a: Finding, b: Finding): number {
  const byStage = STAGES.indexOf(a.stage) - STAGES.indexOf(b.stage)
  if (byStage !== 0 || !IN_FILE_ORDER.has(a.stage)) return byStage
  return comparePositions(a.position, b.position)
}

function comparePositions(a: Position, b: Position): number {
  return a.line - b.line || a.column - b.column
}
