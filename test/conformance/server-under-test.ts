/** The server of the conformance table: a folder of keys as the Go KES has left it, one policy, and callers of every kind. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readVectors } from '../read-vectors.ts'
import {
  authorityOf,
  type Credentials,
  clientOf,
  credentialsOf,
  issueCertificate,
  keyPairOf,
} from '../sandbox/certificates.ts'
import { fsKeystore } from '../sandbox/prepared-store.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import type { Caller } from './case.ts'

export interface StoredKey {
  readonly id: string
  readonly stored: string
  readonly valid: boolean
  readonly why: string
  readonly algorithm: string
  readonly created_at: string
  readonly created_by: string
  readonly has_hmac_key: boolean
  readonly hmac_probe: string
  readonly hmac_probe_message: string
}

export interface RecordedKey {
  readonly name: string
  readonly algorithm: string
  readonly key: string
  readonly hmac_key: string
  readonly created_at: string
  readonly created_by: string
  readonly stored_value: string
}

export const recordedKeys = readVectors<{ keys: RecordedKey[] }>('ciphertexts.json').keys
export const storedKeys = readVectors<{ rows: StoredKey[] }>('stored-keys.json').rows

/** Made by the server at its start, as the config asks. */
export const MADE_KEYS = ['locked', 'taken', 'erased']

export const APP_ALLOW = [
  '/v1/key/create/app-*',
  '/v1/key/describe/app-*',
  '/v1/key/delete/app-*',
  '/v1/status',
]
export const APP_DENY = ['/v1/key/create/app-denied']

export interface ServerUnderTest extends AsyncDisposable {
  readonly server: TestServer
  callerOf(caller: Caller): Credentials | null
}

interface RecordedPolicy {
  readonly name: string
  readonly allow: string[]
  readonly deny: string[]
}

/** With a caller each, `policy <name>`. */
export const recordedPolicies = readVectors<{ policies: RecordedPolicy[] }>('policy-decisions.json').policies

export async function startServerUnderTest(): Promise<ServerUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-conformance-'))
  const keys = join(folder, 'keys')
  mkdirSync(keys)
  const files = [
    ...recordedKeys.map(({ name, stored_value }) => [name, stored_value] as const),
    ...storedKeys.map(({ id, stored }) => [id, stored] as const),
  ]
  for (const [name, text] of files) writeFileSync(join(keys, name), text, { mode: 0o600 })
  const callers = await makeCallers()
  const policies = recordedPolicies.map(({ name, allow, deny }) => {
    return [name, { allow, deny, identities: [callers[`policy ${name}`]?.identity ?? ''] }] as const
  })
  const identityOf = (caller: Caller) => callers[caller]?.identity ?? ''
  const server = await startTestServer({
    keystore: fsKeystore(keys),
    keys: MADE_KEYS,
    policies: {
      'my-app': {
        allow: APP_ALLOW,
        deny: APP_DENY,
        identities: [identityOf('app'), identityOf('leaf and CA')],
      },
      ops: { allow: ['/v1/metrics'] },
      none: {},
      ...Object.fromEntries(policies),
    },
    api: { '/v1/ready': { skipAuth: true } }, // So a certificate is optional, and its absence an error of HTTP.
  })
  await server.request('PUT', '/v1/key/disable/locked')
  await server.request('DELETE', '/v1/key/delete/erased')
  return {
    server,
    callerOf: (caller) => callers[caller] ?? null,
    async [Symbol.asyncDispose]() {
      await server.stop()
      rmSync(folder, { recursive: true })
    },
  }
}

/** By name; whoever is not there has no certificate. */
async function makeCallers(): Promise<Record<string, Credentials>> {
  const authority = await authorityOf('client CA')
  const [app, leaf, second] = [keyPairOf('app'), keyPairOf('leaf'), keyPairOf('second leaf')]
  const issued = await issueCertificate('leaf', { issuer: authority, keys: leaf })
  const ofPolicies = recordedPolicies.map(async ({ name }) => {
    return [`policy ${name}`, await clientOf(`policy ${name}`)] as const
  })
  return {
    ...Object.fromEntries(await Promise.all(ofPolicies)),
    admin: await clientOf('admin'),
    app: await clientOf('app'),
    nobody: await clientOf('nobody'),
    renewed: credentialsOf(app, await issueCertificate('another name', { keys: app })),
    ca: credentialsOf(
      keyPairOf('a CA'),
      await issueCertificate('a CA', { isCa: true, keys: keyPairOf('a CA') }),
    ),
    'two leaves': credentialsOf(
      leaf,
      issued,
      await issueCertificate('second leaf', { keys: second, issuer: authority }),
    ),
    'CA, then leaf': credentialsOf(authority, authority.certificate, issued),
    'leaf and CA': credentialsOf(leaf, issued, authority.certificate),
  }
}
