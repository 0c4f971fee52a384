/** The sections of the config file, except `keystore` and those about who may do what. */
import { isName, type KeyName, NAME_RULE, parseKeyName } from '../names.ts'
import { readAdmin, readPolicies, readProxy } from './access.ts'
import { type Address, AddressError, DEFAULT_ADDRESS, parseAddress } from './address.ts'
import { type ApiPath, isApiPath } from './api-paths.ts'
import { type ApiConfig, type CacheConfig, type Config, type ConfigDraft, DEFAULT_CACHE } from './config.ts'
import { readConsole } from './console-config.ts'
import { formatDuration, toMilliseconds } from './duration.ts'
import { GONE } from './historical-spellings.ts'
import { readKeystore } from './keystore-config.ts'
import { readLog } from './log-config.ts'
import type { Section } from './section.ts'

export const WORKERS_MAX = 256

/** Without a store only if the report has an error. */
export function readConfig(file: Section): ConfigDraft {
  checkVersion(file)
  refuseKms(file)
  const admin = readAdmin(file.section('admin'))
  const tls = readTls(file.section('tls'), admin.adminIdentity)
  const policies = readPolicies(file.section('policy'), admin.adminIdentity, tls.proxy.identities)
  const cache = readCache(file.section('cache').section('expiry'))
  const log = readLog(file.section('log'))
  const api = readApi(file.section('api'))
  const keys = readKeys(file)
  const keystore = readKeystore(file.section('keystore'))
  const address = readAddress(file)
  const workers = file.integer('workers', 1, WORKERS_MAX)
  const webConsole = readConsole(file)
  return {
    version: 'v1',
    address,
    workers,
    ...admin,
    tls,
    api,
    policies,
    cache,
    log,
    ...keys,
    keystore,
    console: webConsole,
  }
}

function checkVersion(file: Section): void {
  if (!file.has('version')) return
  const position = file.positionOf('version')
  const version = file.literal('version')
  if (version === undefined) {
    file.error('version', position, `kesconf: invalid config version at line '${position.line}'`, 'write v1')
  } else if (version !== '' && version !== 'v1') {
    file.error('version', position, `edge: invalid server config version '${version}'`, 'write v1')
  }
}

/** The last KES ignores the section; but with the keys of a store that it served, no KES can do anything. */
function refuseKms(file: Section): void {
  if (!file.has('kms')) return
  const message = 'kesconf: a store whose keys a KMS has encrypted is not supported'
  file.error('ours', file.keyPositionOf('kms'), message, GONE.kms)
}

function readAddress(file: Section): Address {
  const text = file.text('address')
  if (text === undefined) return DEFAULT_ADDRESS
  try {
    return parseAddress(text)
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
    const hint = 'write an IP address and a port, such as 0.0.0.0:7373'
    file.error(error.isPort ? 'late' : 'address', file.positionOf('address'), error.message, hint)
    return DEFAULT_ADDRESS
  }
}

function readTls(tls: Section, admin: string): Config['tls'] {
  const invalid = 'kesconf: invalid tls config: '
  const keyFile = tls.required('key', 'tls', `${invalid}no private key`)
  const certFile = tls.required('cert', 'tls', `${invalid}no certificate`)
  const auth = tls.text('auth') ?? 'off'
  if (!/^(?:on|off)$/i.test(auth)) {
    // KES prints the value as Go prints the struct that holds it.
    tls.error('tls', tls.positionOf('auth'), `${invalid}invalid auth '{ ${auth}}'`, 'write on or off')
  }
  return {
    keyFile,
    certFile,
    password: tls.secret('password'),
    auth: /^on$/i.test(auth),
    caPath: tls.text('ca'),
    proxy: readProxy(tls.section('proxy'), admin),
  }
}

function readCache(expiry: Section): CacheConfig {
  const read = (name: string, title: string): number => {
    const duration = expiry.duration(name)
    if (duration < 0n) {
      const message = `kesconf: invalid ${title} '${formatDuration(duration)}'`
      expiry.error('cache', expiry.positionOf(name), message, 'write 0s, which is the default, or more')
    }
    return toMilliseconds(duration)
  }
  return {
    anyMs: read('any', 'cache expiry') || DEFAULT_CACHE.anyMs,
    unusedMs: read('unused', 'cache unused expiry') || DEFAULT_CACHE.unusedMs,
    offlineMs: read('offline', 'offline cache expiry') || DEFAULT_CACHE.offlineMs,
  }
}

function readApi(api: Section): Config['api'] {
  const configs = new Map<ApiPath, ApiConfig>()
  for (const path of api.names) {
    const section = api.section(path)
    const skipAuth = section.boolean('skip_auth')
    const timeout = section.duration('timeout')
    if (timeout < 0n) {
      const message = `kesconf: invalid timeout '${timeout}' for API '${path}'`
      section.error(
        'api',
        section.positionOf('timeout'),
        message,
        "write 0s, which is the API's own, or more",
      )
    }
    const timeoutMs = timeout > 0n ? toMilliseconds(timeout) : undefined
    if (isApiPath(path)) configs.set(path, { skipAuth, timeoutMs })
  }
  return configs
}

/** `keys` is a list of key names, as in KES, or a mapping that has the list as `predefined`. */
function readKeys(file: Section): Pick<Config, 'keys' | 'keysOptions'> {
  if (!file.has('keys') || file.isList('keys')) {
    const keysOptions = { erasedNames: 'reserved', waitingPeriodMs: 0 } as const
    return { keys: readKeyNames(file.sections('keys')), keysOptions }
  }
  const section = file.section('keys')
  const erasedNames = section.text('erased_names') ?? 'reserved'
  if (erasedNames !== 'reserved' && erasedNames !== 'free') {
    const message = `kesconf: invalid key config: invalid erased_names '${erasedNames}'`
    section.error('keys', section.positionOf('erased_names'), message, 'write reserved or free')
  }
  return {
    keys: readKeyNames(section.sections('predefined')),
    keysOptions: {
      erasedNames: erasedNames === 'free' ? 'free' : 'reserved',
      waitingPeriodMs: section.section('deletion').period('waiting_period'),
    },
  }
}

function readKeyNames(sections: readonly Section[]): KeyName[] {
  const names = new Set<string>()
  for (const section of sections) {
    const name = section.text('name') ?? ''
    if (section.isWrong) continue
    if (names.has(name)) {
      const message = `kesconf: invalid key config: key '${name}' is defined multiple times`
      section.error('keys', section.positionOf('name'), message, 'remove one of them')
    } else if (!isName(name)) {
      const message = `kes: key name '${name}' is empty, too long or contains invalid characters`
      section.error('late', section.positionOf('name'), message, NAME_RULE)
    }
    names.add(name)
  }
  return [...names].filter(isName).map(parseKeyName)
}
