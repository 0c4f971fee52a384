/**
 * What a failed attempt means for the next one.
 *
 *     the attempt ended with                         may have  try again  the endpoint
 *                                                    acted                is out
 *     no connection: refused, unreachable            no        anywhere   yes
 *     no connection: TLS refuses, unknown host       no        elsewhere  yes
 *     a connection that broke                        yes       anywhere   yes
 *     no answer in its time                          yes       anywhere   yes
 *     503 ShuttingDown                               no        anywhere   yes
 *     502, 503, 504 of a proxy (no code, no message  yes       anywhere   yes
 *       that a key server sends)
 *     408, 429                                       no        anywhere   no
 *     any other 5xx: it may concern this key alone   yes       elsewhere  no
 *     an answer that no key server gives             yes       elsewhere  no
 *     501, 503 ErasePending, any 4xx                 -         no         no
 */
import { KesApiError } from '../api-error.ts'
import { KesConnectionError, KesProtocolError, KesTimeoutError } from '../errors.ts'
import { isPassingProblem } from './connection-problem.ts'

export interface Verdict {
  /** The server may have carried the request out. */
  readonly mayHaveActed: boolean
  /** Where another attempt may end better: on any server, or only on one that has not been asked. */
  readonly retry: 'anywhere' | 'elsewhere' | 'nowhere'
  /** No server is there to serve anybody. */
  readonly isOutage: boolean
}

const FINAL: Verdict = { mayHaveActed: true, retry: 'nowhere', isOutage: false }
const DECLINED: Verdict = { mayHaveActed: false, retry: 'anywhere', isOutage: false }
const GOING_DOWN: Verdict = { mayHaveActed: false, retry: 'anywhere', isOutage: true }
const LOST: Verdict = { mayHaveActed: true, retry: 'anywhere', isOutage: true }
const FAILED: Verdict = { mayHaveActed: true, retry: 'elsewhere', isOutage: false }

const DECLINING_STATUSES: readonly number[] = [408, 429]
const GATEWAY_STATUSES: readonly number[] = [502, 503, 504]

export function judge(error: unknown): Verdict {
  if (error instanceof KesApiError) return judgeRefusal(error)
  if (error instanceof KesTimeoutError) return LOST
  if (error instanceof KesProtocolError) return FAILED
  if (!(error instanceof KesConnectionError)) return FINAL
  return {
    mayHaveActed: !error.isUnsent,
    retry: isPassingProblem(error.cause) ? 'anywhere' : 'elsewhere',
    isOutage: true,
  }
}

function judgeRefusal({ status, code }: KesApiError): Verdict {
  if (DECLINING_STATUSES.includes(status)) return DECLINED
  if (status < 500 || status === 501 || code === 'ErasePending') return FINAL
  if (code === 'ShuttingDown') return GOING_DOWN
  return GATEWAY_STATUSES.includes(status) && code === undefined ? LOST : FAILED
}
