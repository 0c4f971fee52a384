/** Who may call an API, by the rules of the moment. */
import { type KesError, NotAllowedError } from '../errors.ts'
import type { Identity } from '../names.ts'
import type { Api, Rules } from './routes.ts'

export interface AccessRequest {
  readonly identity: Identity | undefined
  /** What is wrong with the caller's certificate. */
  readonly problem?: KesError | undefined
  /** What follows the API's path. */
  readonly argument: string
}

/** @throws `problem`, what the policies say, or {@link NotAllowedError} for what no policy can grant. */
export function authorize(
  { policies, overrides }: Pick<Rules, 'policies' | 'overrides'>,
  { access, path, policyArgument, adminOnly }: Api,
  { identity, problem, argument }: AccessRequest,
): void {
  if (access === 'policy' && overrides.get(path)?.skipAuth !== true) {
    if (problem !== undefined) throw problem
    policies.authorize(
      identity,
      `${path}${policyArgument === undefined ? argument : policyArgument(argument)}`,
    )
  }
  if (adminOnly !== undefined && (identity === undefined || !policies.isAdmin(identity))) {
    throw new NotAllowedError({ detail: `${adminOnly} is for the admin identity alone` })
  }
}
