/** Who may call an API, by the rules of the moment. */
import type { Identity } from '../names.ts'
import type { Api, Rules } from './routes.ts'

/** @param argument - what follows the API's path. @throws what the policies say. */
export function authorize(
  { policies, overrides }: Pick<Rules, 'policies' | 'overrides'>,
  { access, path, policyArgument }: Api,
  identity: Identity | undefined,
  argument: string,
): void {
  if (access !== 'policy' || overrides.get(path)?.skipAuth === true) return
  policies.authorize(identity, `${path}${policyArgument === undefined ? argument : policyArgument(argument)}`)
}
