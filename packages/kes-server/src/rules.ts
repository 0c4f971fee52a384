/** Who may do what, and how long it may take, as the config says. */
import type { Config } from './config/config.ts'
import type { ApiOverride, Rules } from './http/routes.ts'
import type { Origin } from './operations/policies.ts'
import { PolicySet } from './policy/policy.ts'

export function rulesOf(config: Pick<Config, 'adminIdentity' | 'policies' | 'api'>, origin: Origin): Rules {
  const { adminIdentity, policies } = config
  return {
    policies: new PolicySet({ admin: adminIdentity, policies }),
    origin,
    overrides: overridesOf(config),
  }
}

function overridesOf({ api }: Pick<Config, 'api'>): ReadonlyMap<string, ApiOverride> {
  return new Map(
    [...api].map(([path, { skipAuth, timeoutMs }]) => [path, { skipAuth, timeoutMs: timeoutMs ?? 0 }]),
  )
}
