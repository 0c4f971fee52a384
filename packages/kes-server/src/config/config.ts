/** What the config file says, checked and with every default filled in. */
import type { Identity, KeyName, PolicyName } from '../names.ts'
import type { Address } from './address.ts'
import type { ApiPath } from './api-paths.ts'
import type { KeystoreConfig } from './keystore-config.ts'
import { INFO } from './log-level.ts'
import type { Secret } from './secret.ts'

export interface Config {
  readonly version: 'v1'
  readonly address: Address
  /** How many processes serve. Undefined: as many as fit the machine, where the server is one of its own. */
  readonly workers: number | undefined
  /** 64 lower-case hex digits, or any other text, which disables the admin. */
  readonly adminIdentity: string
  readonly adminIsDisabled: boolean
  readonly tls: TlsConfig
  readonly api: ReadonlyMap<ApiPath, ApiConfig>
  /** In file order. An identity is in one of them at most, and none is the admin's. */
  readonly policies: readonly PolicyConfig[]
  readonly cache: CacheConfig
  readonly log: LogConfig
  /** Created at start where they are missing. */
  readonly keys: readonly KeyName[]
  readonly keysOptions: KeysOptions
  readonly keystore: KeystoreConfig
  /** Undefined: there is none. */
  readonly console: ConsoleConfig | undefined
}

/** What could be read of a file that may have errors. */
export type ConfigDraft = Omit<Config, 'keystore'> & { readonly keystore: KeystoreConfig | undefined }

export interface TlsConfig {
  readonly keyFile: string
  readonly certFile: string
  /** Of the private key. */
  readonly password: Secret | undefined
  /** Whether client certificates are verified. One is asked for in any case. */
  readonly auth: boolean
  /** CA certificates beside the system's: a file, or a directory of files. */
  readonly caPath: string | undefined
  readonly proxy: TlsProxyConfig
}

/** Has an effect if both say something. */
export interface TlsProxyConfig {
  readonly identities: readonly string[]
  readonly certHeader: string | undefined
}

export interface ApiConfig {
  readonly skipAuth: boolean
  /** `undefined`: the route's own. */
  readonly timeoutMs: number | undefined
}

export interface PolicyConfig {
  readonly name: PolicyName
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly identities: readonly Identity[]
}

export interface CacheConfig {
  readonly anyMs: number
  readonly unusedMs: number
  /** 0: the other two rules stay in force while the store is offline. */
  readonly offlineMs: number
}

/** Levels as in `log-level.ts`. An audit level above INFO turns the audit log on stdout off. */
export interface LogConfig {
  readonly errorLevel: number
  readonly auditLevel: number
  readonly auditFile: AuditFileConfig | undefined
}

export interface AuditFileConfig {
  /** A number for each file is put into its name. */
  readonly path: string
  /** A file that has reached this size or age is followed by a new one. */
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** How many files stay; undefined: all. */
  readonly keep: number | undefined
  /** How often a head is signed while there are new events. */
  readonly headIntervalMs: number
}

export interface ConsoleConfig {
  readonly address: Address
  /** Scheme, host and port under which browsers reach it, if they are not the address's. */
  readonly origin: string | undefined
  /** Whether it serves with the server's certificate. */
  readonly tls: boolean
  /** Whether the page warns that nothing here is for real. */
  readonly sandbox: boolean
  /** The storage node that it shows. */
  readonly node: ConsoleNodeConfig | undefined
}

export interface ConsoleNodeConfig {
  /** `http://127.0.0.1:9000` */
  readonly endpoint: string
  readonly accessKey: Secret
  readonly secretKey: Secret
  /** PEM file of the authority of the node's certificate. */
  readonly caPath: string | undefined
}

export interface KeysOptions {
  /** Whether the name of an erased key stays taken. */
  readonly erasedNames: 'reserved' | 'free'
  /** The least time from a delete to the erasure; 0: none. */
  readonly waitingPeriodMs: number
}

/** What KES documents. It fills in 30 s and 0 instead, unless `unused` is given. */
export const DEFAULT_CACHE: CacheConfig = { anyMs: 300_000, unusedMs: 30_000, offlineMs: 0 }

export const DEFAULT_LOG: LogConfig = { errorLevel: INFO, auditLevel: INFO, auditFile: undefined }
