/** A command failed: one line for the operator, and what may help. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly hints: readonly string[]
  /** What stands before the message. */
  readonly label: string = 'Error:'

  constructor(message: string, hints: readonly string[] = [], options?: ErrorOptions) {
    super(message, options)
    this.hints = hints
  }
}

/** A node can't start, in the words of MinIO: what reads its log reads this one. */
export class FatalError extends CliError {
  override readonly label = 'FATAL'
}
