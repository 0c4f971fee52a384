/** Steps of the demo: each says what it proves, and is judged by its claims. */

export interface Claim {
  readonly claim: string
  readonly holds: boolean
  /** What was found instead. */
  readonly found?: string
}

export interface StepResult {
  readonly id: string
  readonly title: string
  readonly proves: string
  /** As a person would type it. */
  readonly commands: readonly string[]
  readonly claims: readonly Claim[]
  /** To look at, line by line. */
  readonly exhibits: readonly string[]
  readonly ok: boolean
  /** Milliseconds. */
  readonly ms: number
}

/** What the steps say while they run. */
export class Notes {
  readonly commands: string[] = []
  readonly claims: Claim[] = []
  readonly exhibits: string[] = []

  command(text: string): void {
    this.commands.push(text)
  }

  exhibit(...lines: readonly string[]): void {
    this.exhibits.push(...lines)
  }

  /** @throws ClaimError if it does not hold, so that a step ends with its first wrong claim. */
  claim(claim: string, holds: boolean, found?: unknown): void {
    if (holds) {
      this.claims.push({ claim, holds })
      return
    }
    this.claims.push({ claim, holds, ...(found === undefined ? {} : { found: textOf(found) }) })
    throw new ClaimError()
  }

  /** @throws ClaimError */
  claimEqual(claim: string, found: unknown, expected: unknown): void {
    this.claim(claim, textOf(found) === textOf(expected), found ?? 'nothing')
  }
}

class ClaimError extends Error {}

export interface Step {
  readonly id: string
  readonly title: string
  readonly proves: string
  run(notes: Notes): Promise<void>
}

/** Runs one step. What it throws besides is a claim that does not hold. */
export async function runStep({ id, title, proves, run }: Step): Promise<StepResult> {
  const notes = new Notes()
  const beganMs = performance.now()
  try {
    await run(notes)
  } catch (error) {
    if (!(error instanceof ClaimError)) {
      notes.claims.push({ claim: 'the step runs', holds: false, found: textOf(error) })
    }
  }
  const ms = performance.now() - beganMs
  const { commands, claims, exhibits } = notes
  return { id, title, proves, commands, claims, exhibits, ok: claims.every(({ holds }) => holds), ms }
}

function textOf(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return typeof value === 'string' ? value : JSON.stringify(value)
}
