/** Whether somebody may call an API, and what decides it, in the words of the operator's config file. */
import { editDistance } from '../config/nearest.ts'
import type { Policy } from '../policy/policy.ts'
import type { Api } from './routes.ts'

/** Undefined policy: none. The admin needs none. */
export interface Caller {
  readonly isAdmin: boolean
  readonly policy: Policy | undefined
  /** Whether the config has it as a TLS proxy, which calls for others only. */
  readonly isProxy?: boolean
}

export interface Verdict {
  readonly isAllowed: boolean
  /** What the server answers because of it: 200 stands for anything that the operation itself answers. */
  readonly status: 200 | 400 | 403 | 404 | 405
  /** A sentence without its full stop. */
  readonly reason: string
  /** The pattern that decided. */
  readonly rule: string | undefined
  /** The pattern of an `allow` that comes nearest to the path, where none matches. */
  readonly nearest: string | undefined
  /** What to do if it should be allowed. */
  readonly hint: string | undefined
}

/**
 * @param path - decoded, without query.
 * @param apis - the server's.
 * @param isOpen - whether the config has `skip_auth` for an API.
 */
export function explainRequest(
  { isAdmin, policy, isProxy = false }: Caller,
  method: string,
  path: string,
  apis: readonly Api[],
  isOpen: (apiPath: string) => boolean,
): Verdict {
  const verdict = { rule: undefined, nearest: undefined, hint: undefined }
  const api = findApi(apis, path)
  if (api === undefined) {
    const hint = `paths are those of 'kes status --api', such as ${nearestOf(
      path,
      apis.map((each) => each.path),
    )}`
    return { ...verdict, isAllowed: false, status: 404, reason: 'no API has this path', hint }
  }
  const methods = api.method === 'PUT' ? ['PUT', 'POST'] : [api.method]
  if (!methods.includes(method.toUpperCase())) {
    const reason = `the API takes ${methods.join(' or ')}, not ${method.toUpperCase()}`
    return { ...verdict, isAllowed: false, status: 405, reason }
  }
  const allowed = (reason: string) => ({ ...verdict, isAllowed: true, status: 200 as const, reason })
  const denied = { ...verdict, isAllowed: false, status: 403 as const }
  if (api.adminOnly !== undefined && !isAdmin) {
    const reason = `${api.adminOnly} is for the admin identity alone`
    return { ...denied, reason, hint: 'no policy can grant it: ask the admin' }
  }
  if (isOpen(api.path)) return allowed(`'skip_auth' opens ${api.path} to everybody`)
  if (api.access === 'public') return allowed('the API is open to everybody')
  if (isAdmin) return allowed('the identity is the admin, who may call everything')
  if (api.access === 'identity' && policy !== undefined)
    return allowed('the API is open to everybody with a policy')
  if (isProxy) {
    const hint = 'ask for the identity whose certificate it forwards'
    return { ...verdict, isAllowed: false, status: 400, reason: 'the identity is a TLS proxy', hint }
  }
  if (policy === undefined) {
    const hint = "add the identity to the 'identities' of a policy"
    return { ...denied, reason: 'the identity has no policy', hint }
  }
  const asked =
    api.policyArgument === undefined ? path : api.path + api.policyArgument(path.slice(api.path.length))
  const { kind, rule } = policy.decide(asked)
  if (kind === 'allow') return { ...allowed(`rule '${rule}' of policy '${policy.name}' allows it`), rule }
  if (kind === 'deny') {
    const hint = `an 'allow' does not help: take '${rule}' out of 'deny', or narrow it`
    return { ...denied, reason: `rule '${rule}' of policy '${policy.name}' denies it`, rule, hint }
  }
  return {
    ...denied,
    reason: `no rule of policy '${policy.name}' allows it`,
    nearest: nearestOf(asked, policy.allow),
    hint: `add '${asked}' to 'allow' of policy '${policy.name}'`,
  }
}

function findApi(apis: readonly Api[], path: string): Api | undefined {
  const fits = apis.filter((api) => (api.path.endsWith('/') ? path.startsWith(api.path) : path === api.path))
  return fits.sort((a, b) => b.path.length - a.path.length)[0]
}

/** However far it is. What a `*` at the end stands for costs nothing. */
function nearestOf(path: string, patterns: readonly string[]): string | undefined {
  const distanceOf = (pattern: string) => {
    if (!/[*/]$/.test(pattern)) return editDistance(path, pattern)
    const start = pattern.replace(/\*$/, '')
    return editDistance(path.slice(0, start.length), start)
  }
  const distances = patterns.map((pattern) => ({ pattern, distance: distanceOf(pattern) }))
  return distances.sort((a, b) => a.distance - b.distance)[0]?.pattern
}
