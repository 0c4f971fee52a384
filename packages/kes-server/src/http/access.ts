/** Who may call an API, by the rules of the moment. */
import type { KesError } from '../errors.ts'
import type { Identity } from '../names.ts'
import type { Api, Rules } from './routes.ts'

export interface AccessRequest {
  readonly identity: Identity | undefined
  /** What is wrong with the caller's certificate. */
  readonly problem?: KesError | undefined
  /** What follows the API's path. */
  readonly argument: string
}

/** @throws `problem`, or what the policies say. */
export function authorize(
  { policies, overrides }: Pick<Rules, 'policies' | 'overrides'>,
  { access, path, policyArgument }: Api,
  { identity, problem, argument }: AccessRequest,
): void {
  if (access !== 'policy' || overrides.get(path)?.skipAuth === true) return
  if (problem !== undefined) throw problem
  policies.authorize(identity, `${path}${policyArgument === undefined ? argument : policyArgument(argument)}`)
}
