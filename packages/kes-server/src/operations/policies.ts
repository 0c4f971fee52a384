/** `GET /v1/policy/{describe,read,list}/…`: the policies of the config file. */
import { PolicyNotFoundError } from '../errors.ts'
import { type PolicyName, parseListPrefix } from '../names.ts'
import type { PolicySet } from '../policy/policy.ts'

/** When and by whom the policies came into force: the start of the server, and its admin. */
export interface Origin {
  readonly createdAt: string
  readonly createdBy: string
}

/** @throws {@link PolicyNotFoundError} (404) */
export function describePolicy(policies: PolicySet, origin: Origin, name: PolicyName) {
  if (policies.get(name) === undefined) throw new PolicyNotFoundError()
  return { name, created_at: origin.createdAt, created_by: origin.createdBy }
}

/** @throws {@link PolicyNotFoundError} (404) */
export function readPolicy(policies: PolicySet, origin: Origin, name: PolicyName) {
  const policy = policies.get(name)
  if (policy === undefined) throw new PolicyNotFoundError()
  return { name, ...ruleMaps(policy), created_at: origin.createdAt, created_by: origin.createdBy }
}

/** Patterns as KES writes them: sorted keys of an object, omitted when there are none. */
export function ruleMaps({ allow, deny }: { allow: readonly string[]; deny: readonly string[] }) {
  return {
    ...(allow.length === 0 ? {} : { allow: ruleMap(allow) }),
    ...(deny.length === 0 ? {} : { deny: ruleMap(deny) }),
  }
}

function ruleMap(patterns: readonly string[]) {
  return Object.fromEntries([...patterns].sort().map((pattern) => [pattern, {}]))
}

/** @throws InvalidPatternError (400) */
export function listPolicies(policies: PolicySet, argument: string) {
  const prefix = parseListPrefix(argument)
  return { names: policies.names().filter((name) => name.startsWith(prefix)), continue_at: '' }
}
