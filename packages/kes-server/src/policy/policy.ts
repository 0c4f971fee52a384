/**
 * Who may call which API: patterns of paths, as in KES's config file.
 *
 * A pattern that ends in `*` matches every path with what stands before it, across any `/`; every other
 * pattern matches the path that equals it. No other character is special, and the empty pattern matches
 * nothing. Paths are compared decoded and without query; the HTTP method does not count.
 */
import assert from 'node:assert/strict'
import { NotAllowedError } from '../errors.ts'
import { type Identity, normalizeIdentity, type PolicyName } from '../names.ts'

/**
 * What a policy says about a path, and by which of its patterns; `none` if none matches, which is a refusal.
 */
export type Decision =
  | { readonly allowed: true; readonly rule: string; readonly kind: 'allow' }
  | { readonly allowed: false; readonly rule: string; readonly kind: 'deny' }
  | { readonly allowed: false; readonly rule: undefined; readonly kind: 'none' }

export class Policy {
  readonly name: PolicyName
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly #allow: Patterns
  readonly #deny: Patterns

  constructor(name: PolicyName, allow: readonly string[], deny: readonly string[]) {
    this.name = name
    this.allow = allow
    this.deny = deny
    this.#allow = new Patterns(allow)
    this.#deny = new Patterns(deny)
  }

  /** Deny wins over allow, and both over silence. */
  decide(path: string): Decision {
    const denial = this.#deny.match(path)
    if (denial !== undefined) return { allowed: false, rule: denial, kind: 'deny' }
    const permission = this.#allow.match(path)
    if (permission !== undefined) return { allowed: true, rule: permission, kind: 'allow' }
    return { allowed: false, rule: undefined, kind: 'none' }
  }
}

class Patterns {
  readonly #paths = new Set<string>()
  readonly #prefixes: string[] = []

  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) {
      if (pattern.endsWith('*')) this.#prefixes.push(pattern.slice(0, -1))
      else if (pattern !== '') this.#paths.add(pattern)
    }
  }

  /** A pattern that matches `path`, if there is one. */
  match(path: string): string | undefined {
    if (this.#paths.has(path)) return path
    const prefix = this.#prefixes.find((start) => path.startsWith(start))
    return prefix === undefined ? undefined : `${prefix}*`
  }
}

export interface PolicyDefinition {
  readonly name: PolicyName
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly identities: readonly Identity[]
}

/**
 * All policies of a server, and its admin.
 *
 * Identities of 64 hex digits are one whether in upper or lower case: KES compares them as text, so that an
 * upper-case one in its config file never matches.
 */
export class PolicySet {
  readonly #admin: Identity
  readonly #policies = new Map<string, Policy>()
  readonly #assigned = new Map<Identity, Policy>()

  /**
   * @param definition - checked: no policy name and no identity stands there twice.
   *   `admin` may be any text; one that is no identity, such as `disabled`, is never a caller's.
   */
  constructor(definition: { readonly admin: string; readonly policies: readonly PolicyDefinition[] }) {
    this.#admin = normalizeIdentity(definition.admin)
    for (const { name, allow, deny, identities } of definition.policies) {
      assert(!this.#policies.has(name), 'a policy is defined twice')
      const policy = new Policy(name, allow, deny)
      this.#policies.set(name, policy)
      for (const identity of identities.map(normalizeIdentity)) {
        assert(!this.#assigned.has(identity), 'an identity has two policies')
        this.#assigned.set(identity, policy)
      }
    }
  }

  isAdmin(identity: Identity): boolean {
    return identity === this.#admin
  }

  policyOf(identity: Identity): Policy | undefined {
    return this.#assigned.get(identity)
  }

  get(name: PolicyName): Policy | undefined {
    return this.#policies.get(name)
  }

  /** Sorted. */
  names(): PolicyName[] {
    return [...this.#policies.values()].map((policy) => policy.name).sort()
  }

  /** The admin and everyone with a policy, sorted. */
  identities(): Identity[] {
    return [...new Set([this.#admin, ...this.#assigned.keys()])].sort()
  }

  /**
   * @param identity - undefined for a caller without certificate.
   * @param path - decoded, without query.
   * @throws {@link NotAllowedError} (403); its `detail` names what decided.
   */
  authorize(identity: Identity | undefined, path: string): void {
    const detail = this.#refusal(identity, path)
    if (detail !== undefined) throw new NotAllowedError({ detail })
  }

  /** Whether {@link authorize} would let the caller pass. */
  isAllowed(identity: Identity | undefined, path: string): boolean {
    return this.#refusal(identity, path) === undefined
  }

  #refusal(identity: Identity | undefined, path: string): string | undefined {
    if (identity === undefined) return 'caller has no identity'
    if (this.isAdmin(identity)) return undefined
    const policy = this.policyOf(identity)
    if (policy === undefined) return `identity ${identity} has no policy`
    const { kind, rule } = policy.decide(path)
    if (kind === 'allow') return undefined
    if (kind === 'deny') return `denied by rule '${rule}' of policy '${policy.name}'`
    return `no rule of policy '${policy.name}' allows ${path}`
  }
}
