/** `keystore.vault`: HashiCorp Vault, its K/V engine, with KES's messages. */
import { type Duration, formatDuration, SECOND, toMilliseconds } from './duration.ts'
import { describeFileError } from './file-error.ts'
import type { Secret } from './secret.ts'
import type { Section } from './section.ts'

export interface VaultKeystore {
  readonly type: 'vault'
  readonly endpoint: string
  readonly engine: string
  readonly version: 'v1' | 'v2'
  readonly namespace: string | undefined
  readonly prefix: string | undefined
  readonly transit: { readonly engine: string; readonly key: string } | undefined
  readonly login: VaultAppRole | VaultKubernetes
  readonly tls: VaultTls
  readonly pingMs: number
}

export interface VaultAppRole {
  readonly type: 'approle'
  readonly engine: string
  /** Of the login alone; `/` sends none, `undefined` means the store's own. */
  readonly namespace: string | undefined
  readonly id: string
  readonly secret: Secret
}

export interface VaultKubernetes {
  readonly type: 'kubernetes'
  readonly engine: string
  readonly namespace: string | undefined
  readonly role: string
  /** The token, or the file to read it from at every login. */
  readonly jwt: { readonly token: Secret } | { readonly path: string }
}

/** A client certificate for the store, and the CAs that its own must come from. */
export interface VaultTls {
  readonly keyFile: string | undefined
  readonly certFile: string | undefined
  readonly caPath: string | undefined
}

const INVALID_VAULT = 'kesconf: invalid vault keystore: '
const DEFAULT_PING: Duration = 15n * SECOND

export function readVault(section: Section): VaultKeystore | undefined {
  const endpoint = section.required('endpoint', 'keystore', `${INVALID_VAULT}no endpoint specified`)
  const transit = section.section('transit')
  const login = readVaultLogin(section)
  const version = section.text('version') ?? 'v1'
  if (version !== 'v1' && version !== 'v2') {
    const message = `vault: invalid engine API version '${version}'`
    section.error('keystore', section.positionOf('version'), message, 'write v1 or v2')
  }
  const store = {
    type: 'vault',
    endpoint,
    engine: section.text('engine') ?? 'kv',
    version: version === 'v2' ? 'v2' : 'v1',
    namespace: section.text('namespace'),
    prefix: section.text('prefix'),
    transit: transit.isPresent ? readTransit(transit) : undefined,
    tls: readVaultTls(section.section('tls')),
    pingMs: readPing(section.section('status')),
  } as const
  return login && { ...store, login }
}

function readTransit(section: Section): { engine: string; key: string } {
  const missing = `${INVALID_VAULT}invalid transit config: no key name specified`
  return {
    engine: section.text('engine') ?? 'transit',
    key: section.required('key', 'keystore', missing),
  }
}

function readVaultLogin(vault: Section): VaultAppRole | VaultKubernetes | undefined {
  const appRole = vault.section('approle')
  const kubernetes = vault.section('kubernetes')
  if (appRole.isPresent && kubernetes.isPresent) {
    const message = `${INVALID_VAULT}more than one authentication method specified`
    vault.error('keystore', kubernetes.position, message, 'keep one of approle and kubernetes')
  } else if (!appRole.isPresent && !kubernetes.isPresent && !vault.isWrong) {
    const message = `${INVALID_VAULT}no authentication method specified`
    vault.error('keystore', vault.position, message, 'add approle or kubernetes')
  }
  const appRoleLogin = appRole.isPresent ? readAppRole(appRole) : undefined
  const kubernetesLogin = kubernetes.isPresent ? readKubernetes(kubernetes) : undefined
  return appRoleLogin ?? kubernetesLogin
}

function readAppRole(section: Section): VaultAppRole {
  const invalid = `${INVALID_VAULT}invalid approle config: `
  return {
    type: 'approle',
    engine: section.text('engine') ?? 'approle',
    namespace: section.text('namespace'),
    id: section.required('id', 'keystore', `${invalid}no approle ID specified`),
    secret: section.requiredSecret('secret', 'keystore', `${invalid}no approle secret specified`),
  }
}

function readKubernetes(section: Section): VaultKubernetes {
  const missing = `${INVALID_VAULT}invalid kubernetes config: no JWT specified`
  const jwt = section.requiredSecret('jwt', 'keystore', missing)
  return {
    type: 'kubernetes',
    engine: section.text('engine') ?? 'kubernetes',
    namespace: section.text('namespace'),
    role: section.text('role') ?? '',
    jwt: jwt.reveal().includes('/') ? { path: checkJwtFile(section, jwt.reveal()) } : { token: jwt },
  }
}

function checkJwtFile(section: Section, path: string): string {
  try {
    section.readFile(path)
  } catch (error) {
    const reason = describeFileError(path, error)
    const message = `kesconf: failed to read vault kubernetes JWT from '${path}': ${reason}`
    section.error(
      'keystore',
      section.positionOf('jwt'),
      message,
      "a text with '/' is a file: write its path, or the token",
    )
  }
  return path
}

function readVaultTls(section: Section): VaultTls {
  const invalid = `${INVALID_VAULT}invalid tls config: `
  const [keyFile, certFile] = [section.text('key'), section.text('cert')]
  if (keyFile !== undefined && certFile === undefined) {
    section.error('keystore', section.position, `${invalid}no TLS certificate provided`, "add 'cert'")
  }
  if (certFile !== undefined && keyFile === undefined) {
    section.error('keystore', section.position, `${invalid}no TLS private key provided`, "add 'key'")
  }
  return { keyFile, certFile, caPath: section.text('ca') }
}

function readPing(section: Section): number {
  const ping = section.duration('ping')
  if (ping < 0n) {
    const message = `${INVALID_VAULT}invalid status ping '${formatDuration(ping)}'`
    section.error('keystore', section.positionOf('ping'), message, 'write 0s, which is the default, or more')
  }
  return toMilliseconds(ping === 0n ? DEFAULT_PING : ping)
}
