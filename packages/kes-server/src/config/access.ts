/**
 * `admin`, `tls.proxy` and `policy` of the config file: identities, and what each may do.
 *
 * An identity of 64 hex digits is read in lower case. KES compares texts, so there an upper-case one never
 * matches; two that differ in case only are one identity here, and refused as such.
 */
import {
  type Identity,
  isHexIdentity,
  isName,
  NAME_RULE,
  normalizeIdentity,
  type PolicyName,
  parseIdentity,
  parsePolicyName,
} from '../names.ts'
import type { Config, PolicyConfig, TlsProxyConfig } from './config.ts'
import { correctPattern } from './policy-pattern.ts'
import { MASKED } from './secret.ts'
import type { Item, Section } from './section.ts'

const API_KEY_PREFIX = 'kes:v1:'
const WRITE_IDENTITY = "write 64 hex digits, as 'kes identity of' prints them"
/** @see RFC 9110, section 5.1: a field name is a token. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const IDENTITY_OF = "write the identity that 'kes identity of <API key>' prints"

export function readAdmin(section: Section): Pick<Config, 'adminIdentity' | 'adminIsDisabled'> {
  const text = section.required('identity', 'admin', 'kesconf: invalid admin identity: no admin identity')
  if (text.startsWith(API_KEY_PREFIX)) {
    const position = section.positionOf('identity')
    section.warn(position, 'an API key is no identity: the admin is disabled', IDENTITY_OF)
  }
  return { adminIdentity: normalizeIdentity(text), adminIsDisabled: !isHexIdentity(text) }
}

export function readProxy(section: Section, admin: string): TlsProxyConfig {
  const items = section.list('identities')
  const header = section.section('header')
  const certHeader = header.text('cert')
  if (items.length > 0 && certHeader === undefined) {
    const hint = 'name the header in which the proxy forwards certificates, or remove it'
    section.advise(section.position, "'tls.proxy' has no effect without 'tls.proxy.header.cert'", hint)
  }
  if (items.length === 0 && certHeader !== undefined) {
    const hint = 'list the identities of the proxies, or remove it'
    section.advise(section.position, "'tls.proxy' has no effect without 'tls.proxy.identities'", hint)
  }
  if (certHeader !== undefined && !HEADER_NAME.test(certHeader)) {
    const message = `kesconf: invalid tls proxy: '${certHeader}' is no name of a header`
    section.error('ours', header.positionOf('cert'), message, "write a name such as 'X-Client-Cert'")
  }
  for (const { text, position } of items) {
    if (text !== '' && normalizeIdentity(text) === admin) {
      const message = `kesconf: invalid tls proxy: identity '${displayIdentity(text)}' is already admin`
      section.error('proxy', position, message, 'remove it: the admin needs no proxy')
    } else if (!isHexIdentity(text)) {
      const hint = text.startsWith(API_KEY_PREFIX) ? IDENTITY_OF : WRITE_IDENTITY
      section.warn(position, `'${displayIdentity(text)}' is no identity: no proxy has it`, hint)
    }
  }
  return {
    identities: items.map((item) => normalizeIdentity(item.text)),
    certHeader,
  }
}

export function readPolicies(section: Section, admin: string, proxies: readonly string[]): PolicyConfig[] {
  const policies: PolicyConfig[] = []
  const assigned = new Set<string>()
  for (const text of section.names) {
    const policy = section.section(text)
    const name = readPolicyName(policy, text)
    const allow = readPatterns(policy, 'allow')
    const deny = readPatterns(policy, 'deny')
    const identities: Identity[] = []
    for (const item of policy.list('identities')) {
      const identity = normalizeIdentity(item.text)
      const isFree = checkIdentity(policy, text, item, { admin, proxies, assigned })
      assigned.add(identity)
      if (isFree) identities.push(parseIdentity(identity))
    }
    if (name !== undefined) policies.push({ name, allow, deny, identities })
  }
  return policies
}

function readPolicyName(policy: Section, name: string): PolicyName | undefined {
  if (isName(name)) return parsePolicyName(name)
  const message = `kes: policy name '${name}' is empty, too long or contains invalid characters`
  policy.error('late', policy.position, message, NAME_RULE)
  return undefined
}

function readPatterns(policy: Section, field: 'allow' | 'deny'): string[] {
  const items = policy.literalList(field)
  for (const { text, position } of items) {
    const hint = correctPattern(text)
    if (hint !== undefined) policy.warn(position, `the pattern '${text}' matches no API`, hint)
  }
  return items.map((item) => item.text)
}

interface Owners {
  readonly admin: string
  readonly proxies: readonly string[]
  /** Identities that the policies above have. */
  readonly assigned: ReadonlySet<string>
}

/** Whether the identity may join the policy; if not, the report says why. */
function checkIdentity(policy: Section, name: string, item: Item, owners: Owners): boolean {
  const identity = normalizeIdentity(item.text)
  const shown = displayIdentity(item.text)
  const position = item.position
  if (!isName(item.text)) {
    const message = `kes: identity '${shown}' is empty, too long or contains invalid characters`
    policy.error(
      'late',
      position,
      message,
      item.text.startsWith(API_KEY_PREFIX) ? IDENTITY_OF : WRITE_IDENTITY,
    )
    return false
  }
  if (identity === owners.admin) {
    policy.error(
      'policy',
      position,
      `kesconf: invalid policy '${name}': identity '${shown}' is already admin`,
      'remove it: the admin may do everything',
    )
  } else if (owners.proxies.includes(identity)) {
    const message = `kesconf: invalid policy '${name}': identity '${shown}' is already a TLS proxy`
    policy.error('policy', position, message, "remove it here, or from 'tls.proxy'")
  } else if (owners.assigned.has(identity)) {
    const message = `kes: cannot assign policy '${name}' to '${shown}': identity already has a policy`
    policy.error('late', position, message, 'an identity has one policy: remove it from one of them')
  } else {
    return true
  }
  return false
}

/** An API key may stand where its identity belongs; it is as good as a password. */
export function displayIdentity(identity: string): string {
  return identity.startsWith(API_KEY_PREFIX) ? API_KEY_PREFIX + MASKED : identity
}
