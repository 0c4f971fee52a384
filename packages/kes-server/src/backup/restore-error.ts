/** Why a backup is not restored. Its message is the one line that an operator reads. */
export class RestoreError extends Error {
  override readonly name = 'RestoreError'
}
