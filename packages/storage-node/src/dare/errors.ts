/** What can be wrong with a DARE stream. The texts are those of the programs that write the format. */
const TEXTS = {
  version: 'unsupported version',
  cipher: 'unsupported cipher suite',
  'payload size': 'invalid payload size',
  authentication: 'authentication failed',
  nonce: 'header nonce mismatch',
  sequence: 'sequence number mismatch',
  'early end': 'unexpected EOF',
  'late data': 'unexpected data after final package',
  size: 'size is not valid',
} as const

export type DareProblem = keyof typeof TEXTS

export class DareError extends Error {
  override readonly name = 'DareError'
  readonly problem: DareProblem
  constructor(problem: DareProblem) {
    super(`sio: ${TEXTS[problem]}`)
    this.problem = problem
  }
}
