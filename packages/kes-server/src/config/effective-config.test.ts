import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import type { Config } from './config.ts'
import { effectiveConfig } from './effective-config.ts'
import { FIELD_PATHS } from './fields.ts'
import { parseConfig } from './load-config.ts'

const DOCUMENT = readFileSync(new URL('../../../../docs/config.md', import.meta.url), 'utf8')
const HEAD = 'admin: {identity: x}\ntls: {key: k, cert: c}\n'
const ENV = { KES_ADMIN_IDENTITY: 'a'.repeat(64), MINIO_IDENTITY: 'b'.repeat(64) }

/** Every field that a store can have, as often as it takes. */
const STORES = [
  'sqlite: {path: p, passphrase: secret-1, argon2: {memory: 8MiB, passes: 2, parallelism: 1}}',
  'sqlite: {path: p, passphrase_file: f}',
  'sqlite: {path: p, key_file: f}',
  'fs: {path: p}',
  'fs: {path: p, database: d, key_file: f, argon2: {memory: 8MiB, passes: 2, parallelism: 1}}',
  'fs: {path: p, passphrase: secret-1}',
  'fs: {path: p, passphrase_file: f}',
  `vault: {endpoint: e, engine: g, version: v2, namespace: n, prefix: x, transit: {engine: t, key: k},
    approle: {engine: a, namespace: n, id: i, secret: secret-1}, tls: {key: k, cert: c, ca: a}, status: {ping: 7s}}`,
  'vault: {endpoint: e, kubernetes: {engine: a, namespace: n, role: r, jwt: secret-1}}',
  'aws: {secretsmanager: {endpoint: e, region: r, kmskey: k, credentials: {accesskey: a, secretkey: secret-1, token: secret-2}}}',
  'aws: {secretsmanager: {endpoint: e, region: r}}',
  'azure: {keyvault: {endpoint: e, credentials: {tenant_id: t, client_id: c, client_secret: secret-1}}}',
  'azure: {keyvault: {endpoint: e, managed_identity: {client_id: c}}}',
  'azure: {keyvault: {endpoint: e}}',
  `gcp: {secretmanager: {project_id: p, endpoint: e, scopes: [s, t], credentials:
    {client_email: a, client_id: b, private_key_id: c, private_key: secret-1}}}`,
  'gcp: {secretmanager: {project_id: p}}',
  'fortanix: {sdkms: {endpoint: e, group_id: g, credentials: {key: secret-1}, tls: {ca: a}}}',
  'gemalto: {keysecure: {endpoint: e, credentials: {token: secret-1, domain: d}, tls: {ca: a}}}',
  'entrust: {keycontrol: {endpoint: e, vault_id: v, box_id: b, credentials: {username: u, password: secret-1}, tls: {ca: a}}}',
]

const REST = `
version: v1
address: "[::1]:99"
workers: 3
admin: {identity: ${'a'.repeat(64)}}
tls: {key: k, cert: c, password: secret-3, auth: on, ca: a, proxy: {identities: [${'c'.repeat(64)}], header: {cert: H}}}
api: {/v1/ready: {skip_auth: true, timeout: 3s}, /v1/status: {}}
policy: {p: {allow: [/v1/status], deny: [/v1/api], identities: [${'d'.repeat(64)}]}, q: {}}
cache: {expiry: {any: 1h30m, unused: 500ms, offline: 3s}}
log: {error: WARN+2, audit: {stdout: off, file: f, max_size: 1MiB, max_age: 2h, keep: 3, head_interval: 5s}}
keys: {deletion: {waiting_period: 168h}, erased_names: free, predefined: [{name: one}, {name: two}]}
console: {address: "[::1]:98", origin: "https://c.example", tls: true, sandbox: true,
  node: {endpoint: "http://127.0.0.1:9000", access_key: secret-4, secret_key: secret-5, ca: a}}
`

function parse(text: string): Config {
  return parseConfig(text, { file: 'f', env: ENV }).config
}

function print(config: Config): string {
  return stringify(JSON.parse(JSON.stringify(effectiveConfig(config))))
}

/** What a config says, its secrets masked. */
function comparable(config: Config): unknown {
  return JSON.parse(JSON.stringify({ ...config, api: [...config.api] }))
}

describe('a config that is printed', () => {
  test.each([
    [
      'the example of the document',
      /^## A complete example\n\n```yaml\n([\s\S]*?)^```/m.exec(DOCUMENT)?.[1] ?? '',
    ],
    ['the least', `${HEAD}keystore: {fs: {path: p}}`],
    ['all fields', `${REST}keystore: {fs: {path: p}}`],
    ...STORES.map((store) => [store.slice(0, 60), `${HEAD}keystore: {${store}}`]),
  ])('says the same when it is read again, but for secrets: %s', (_, text) => {
    const config = parse(text)
    const printed = print(config)
    expect(comparable(parse(printed))).toEqual(comparable(config))
    expect(print(parse(printed))).toBe(printed)
  })

  test('shows no secret', () => {
    for (const store of STORES) expect(print(parse(`${REST}keystore: {${store}}`))).not.toContain('secret-')
    const misplaced = `admin: {identity: "kes:v1:secret"}
tls: {key: k, cert: c, proxy: {identities: ["kes:v1:secrets"], header: {cert: H}}}
keystore: {fs: {path: p}}`
    expect(print(parse(misplaced))).toContain('kes:v1:***')
    expect(print(parse(misplaced))).not.toContain('secret')
  })

  test('has a place for every field of the file', () => {
    const fields = new Set<string>()
    for (const store of STORES) pathsOf(effectiveConfig(parse(`${REST}keystore: {${store}}`)), '', fields)
    const shown = [...fields].map((path) => path.replace(/^(api|policy)\.[^.]+(?=\.\w+$)/, '$1.*'))
    const missing = FIELD_PATHS.filter((path) => !shown.includes(path) && !SHOWN_OTHERWISE.includes(path))
    expect(missing).toEqual([])
  })
})

/** Short forms of what is shown in a mapping. */
const SHOWN_OTHERWISE = ['keys[].name', 'log.audit', 'console', 'keys.predefined[].name']

function pathsOf(value: unknown, path: string, paths: Set<string>): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !('reveal' in value)) {
    for (const [name, inner] of Object.entries(value)) {
      if (inner !== undefined) pathsOf(inner, path === '' ? name : `${path}.${name}`, paths)
    }
  } else paths.add(path)
}
