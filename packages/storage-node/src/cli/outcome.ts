/** A command failed: one line for the operator, and what may help. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly hints: readonly string[]

  constructor(message: string, hints: readonly string[] = [], options?: ErrorOptions) {
    super(message, options)
    this.hints = hints
  }
}
