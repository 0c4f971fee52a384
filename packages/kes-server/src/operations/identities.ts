/** `GET /v1/identity/{describe,list}/…` and `/v1/identity/self/describe`. */
import { IdentityNotFoundError } from '../errors.ts'
import { type Identity, parseListPrefix } from '../names.ts'
import type { PolicySet } from '../policy/policy.ts'
import { type Origin, ruleMaps } from './policies.ts'

/** @throws {@link IdentityNotFoundError} (404) */
export function describeIdentity(policies: PolicySet, origin: Origin, identity: Identity) {
  if (policies.isAdmin(identity)) return { admin: true, created_at: origin.createdAt }
  const policy = policies.policyOf(identity)
  if (policy === undefined) throw new IdentityNotFoundError()
  return { policy: policy.name, created_at: origin.createdAt, created_by: origin.createdBy }
}

/**
 * The caller's own rights. KES answers only the admin; the reply for everybody else has the fields that KES's
 * clients look for: the policy's name, and its rules beside it.
 *
 * @throws {@link IdentityNotFoundError} (404)
 */
export function describeSelf(policies: PolicySet, origin: Origin, identity: Identity | undefined) {
  if (identity === undefined) throw new IdentityNotFoundError()
  if (policies.isAdmin(identity)) return { identity, admin: true, created_at: origin.createdAt }
  const policy = policies.policyOf(identity)
  if (policy === undefined) throw new IdentityNotFoundError()
  return {
    identity,
    created_at: origin.createdAt,
    created_by: origin.createdBy,
    policy: policy.name,
    ...ruleMaps(policy),
  }
}

/** The admin and every identity with a policy. @throws InvalidPatternError (400) */
export function listIdentities(policies: PolicySet, argument: string) {
  const prefix = parseListPrefix(argument)
  return {
    identities: policies.identities().filter((identity) => identity.startsWith(prefix)),
    continue_at: '',
  }
}
