/** Every field that a config file may have, and the warning for one that it may not. */
import { isMap, isSeq, type YAMLMap } from 'yaml'
import { API_PATHS, isApiPath } from './api-paths.ts'
import { GONE } from './historical-spellings.ts'
import { nearest } from './nearest.ts'
import type { Report } from './report.ts'
import { displayKey, type Field, type Value, type YamlSource } from './yaml-source.ts'

/** `'value'` is a scalar or a list of them, an array a list of mappings; the name `*` stands for any. */
type Shape = 'value' | { readonly [name: string]: Shape } | readonly [Shape]

const TLS_FILES: Shape = { key: 'value', cert: 'value', ca: 'value' }

const UNSEAL = {
  passphrase: 'value',
  passphrase_file: 'value',
  key_file: 'value',
  argon2: { memory: 'value', passes: 'value', parallelism: 'value' },
} satisfies Shape

const KEYSTORES: Shape = {
  sqlite: { path: 'value', ...UNSEAL },
  fs: { path: 'value', database: 'value', ...UNSEAL },
  vault: {
    endpoint: 'value',
    engine: 'value',
    version: 'value',
    namespace: 'value',
    prefix: 'value',
    transit: { engine: 'value', key: 'value' },
    approle: { engine: 'value', namespace: 'value', id: 'value', secret: 'value' },
    kubernetes: { engine: 'value', namespace: 'value', role: 'value', jwt: 'value' },
    tls: TLS_FILES,
    status: { ping: 'value' },
  },
  aws: {
    secretsmanager: {
      endpoint: 'value',
      region: 'value',
      kmskey: 'value',
      credentials: { accesskey: 'value', secretkey: 'value', token: 'value' },
    },
  },
  azure: {
    keyvault: {
      endpoint: 'value',
      credentials: { tenant_id: 'value', client_id: 'value', client_secret: 'value' },
      managed_identity: { client_id: 'value' },
    },
  },
  gcp: {
    secretmanager: {
      project_id: 'value',
      endpoint: 'value',
      scopes: 'value',
      credentials: {
        client_email: 'value',
        client_id: 'value',
        private_key_id: 'value',
        private_key: 'value',
      },
    },
  },
  fortanix: {
    sdkms: { endpoint: 'value', group_id: 'value', credentials: { key: 'value' }, tls: { ca: 'value' } },
  },
  gemalto: {
    keysecure: { endpoint: 'value', credentials: { token: 'value', domain: 'value' }, tls: { ca: 'value' } },
  },
  entrust: {
    keycontrol: {
      endpoint: 'value',
      vault_id: 'value',
      box_id: 'value',
      credentials: { username: 'value', password: 'value' },
      tls: { ca: 'value' },
    },
  },
}

const PREDEFINED_KEYS: Shape = [{ name: 'value' }]

const FILE: Shape = {
  version: 'value',
  address: 'value',
  workers: 'value',
  admin: { identity: 'value' },
  tls: {
    ...TLS_FILES,
    password: 'value',
    auth: 'value',
    proxy: { identities: 'value', header: { cert: 'value' } },
  },
  api: { '*': { skip_auth: 'value', timeout: 'value' } },
  policy: { '*': { allow: 'value', deny: 'value', identities: 'value' } },
  cache: { expiry: { any: 'value', unused: 'value', offline: 'value' } },
  log: {
    error: 'value',
    audit: {
      stdout: 'value',
      file: 'value',
      max_size: 'value',
      max_age: 'value',
      keep: 'value',
      head_interval: 'value',
    },
  },
  keys: { deletion: { waiting_period: 'value' }, erased_names: 'value', predefined: PREDEFINED_KEYS },
  keystore: KEYSTORES,
  console: {
    address: 'value',
    origin: 'value',
    tls: 'value',
    sandbox: 'value',
    node: { endpoint: 'value', access_key: 'value', secret_key: 'value', ca: 'value' },
  },
}

/** The dotted path of every field that holds a value, `keys[].name` and `policy.*.allow` among them. */
export const FIELD_PATHS: readonly string[] = [...pathsOf(FILE, ''), 'keys[].name', 'log.audit', 'console']

/** Warns of every field that the server does not know, with the name that was probably meant. */
export function reportUnknownFields(source: YamlSource, report: Report): void {
  visit(source.root(), FILE, '')

  function visit(value: Value, shape: Shape, path: string): void {
    if (isMap(value) && isMapping(shape)) visitMapping(value, shape, path)
    if (!isSeq(value)) return
    const elements = path === 'keys' ? PREDEFINED_KEYS : shape // KES has a plain list there.
    if (!isList(elements)) return
    for (const item of source.items(value, source.position(value, { line: 1, column: 1 }))) {
      visit(item.value, elements[0], `${path}[]`)
    }
  }

  function visitMapping(map: YAMLMap, shape: { readonly [name: string]: Shape }, path: string): void {
    for (const [name, field] of source.fields(map)) {
      const inner = Object.hasOwn(shape, name) && name !== '*' ? shape[name] : shape['*']
      if (Object.hasOwn(GONE, join(path, name))) continue // Whoever reads the section says so.
      if (inner === undefined) reportUnknown(name, field, shape, path)
      else if (path === 'api' && !isApiPath(name)) reportUnknownApi(name, field)
      else visit(field.value, inner, join(path, name))
    }
  }

  function reportUnknown(name: string, field: Field, shape: object, path: string): void {
    const shown = displayKey(name)
    const message = `unknown field '${join(path, shown)}' is ignored`
    report.warn(field.keyPosition, message, correctField(shown, Object.keys(shape), path))
  }

  function reportUnknownApi(name: string, field: Field): void {
    const shown = displayKey(name)
    const path = isApiPath(`${name}/`) ? `${name}/` : nearest(shown, API_PATHS)
    const hint = `write ${path === undefined ? "the path of an API, such as '/v1/ready'" : `'${path}'`}`
    report.warn(field.keyPosition, `unknown API path '${shown}' is ignored`, hint)
  }
}

function correctField(name: string, siblings: readonly string[], path: string): string {
  const sameLetters = siblings.find((sibling) => sibling === name.toLowerCase())
  const near = sameLetters ?? nearest(name, siblings)
  if (near !== undefined) return `did you mean '${near}'?`
  const elsewhere = placesOf(name).filter((place) => place !== join(path, name))
  if (elsewhere.length > 0 && elsewhere.length <= 2) return `'${name}' belongs to ${elsewhere.join(' or ')}`
  return `known here: ${siblings.join(', ')}`
}

/** Where a field or a section of this name is known, as dotted paths. */
function placesOf(name: string): string[] {
  const places = new Set<string>()
  for (const path of FIELD_PATHS) {
    const parts = path.split('.')
    const depth = parts.indexOf(name)
    if (depth >= 0) places.add(parts.slice(0, depth + 1).join('.'))
  }
  return [...places]
}

function pathsOf(shape: Shape, path: string): string[] {
  if (shape === 'value') return [path]
  if (isList(shape)) return pathsOf(shape[0], `${path}[]`)
  return Object.entries(shape).flatMap(([name, inner]) => pathsOf(inner, join(path, name)))
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape)
}

function isMapping(shape: Shape): shape is { readonly [name: string]: Shape } {
  return shape !== 'value' && !isList(shape)
}
