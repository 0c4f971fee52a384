/** A checked config in the words of the config file: every default filled in, every variable replaced, no secret. */
import { displayIdentity } from './access.ts'
import { formatAddress } from './address.ts'
import type { Config, ConsoleConfig } from './config.ts'
import { formatDuration } from './duration.ts'
import type { KeystoreConfig, UnsealConfig } from './keystore-config.ts'
import { formatLogLevel } from './log-level.ts'
import { formatSize } from './size.ts'
import type { Argon2Config } from './unseal.ts'

/** Nested like the file; fields that are undefined are left out of it. Secrets turn into `***` as text or JSON. */
type Fields = Readonly<Record<string, unknown>>

const NANOSECONDS = 1_000_000n

export function effectiveConfig(config: Config): Fields {
  const { adminIdentity, tls, api, policies, cache, log, keys, keysOptions, keystore } = config
  const { auditFile: file } = log
  return {
    version: config.version,
    address: formatAddress(config.address),
    workers: config.workers,
    admin: { identity: displayIdentity(adminIdentity) },
    tls: {
      key: tls.keyFile,
      cert: tls.certFile,
      password: tls.password,
      auth: tls.auth ? 'on' : 'off',
      ca: tls.caPath,
      proxy: {
        identities: tls.proxy.identities.map(displayIdentity),
        header: { cert: tls.proxy.certHeader },
      },
    },
    api: Object.fromEntries(
      [...api].map(([path, { skipAuth, timeoutMs }]) => [
        path,
        { skip_auth: skipAuth, timeout: timeoutMs === undefined ? undefined : duration(timeoutMs) },
      ]),
    ),
    policy: Object.fromEntries(
      policies.map(({ name, allow, deny, identities }) => [name, { allow, deny, identities }]),
    ),
    cache: {
      expiry: {
        any: duration(cache.anyMs),
        unused: duration(cache.unusedMs),
        offline: duration(cache.offlineMs),
      },
    },
    log: {
      error: formatLogLevel(log.errorLevel),
      audit:
        file === undefined
          ? formatLogLevel(log.auditLevel)
          : {
              stdout: formatLogLevel(log.auditLevel),
              file: file.path,
              max_size: formatSize(file.maxBytes),
              max_age: duration(file.maxAgeMs),
              keep: file.keep ?? 'all',
              head_interval: duration(file.headIntervalMs),
            },
    },
    keys: {
      deletion: { waiting_period: duration(keysOptions.waitingPeriodMs) },
      erased_names: keysOptions.erasedNames,
      predefined: keys.map((name) => ({ name })),
    },
    keystore: effectiveKeystore(keystore),
    console: effectiveConsole(config.console),
  }
}

function effectiveConsole(settings: ConsoleConfig | undefined): Fields | 'off' {
  if (settings === undefined) return 'off'
  const { address, origin, tls, sandbox, node } = settings
  return {
    address: formatAddress(address),
    origin,
    tls,
    sandbox,
    node: node && {
      endpoint: node.endpoint,
      access_key: node.accessKey,
      secret_key: node.secretKey,
      ca: node.caPath,
    },
  }
}

function effectiveKeystore(store: KeystoreConfig): Fields {
  switch (store.type) {
    case 'memory':
      return {}
    case 'sqlite':
      return {
        sqlite: { path: store.path, ...unsealFields(store.unseal), argon2: argon2Fields(store.argon2) },
      }
    case 'fs': {
      const { path, databasePath, unseal, argon2 } = store
      return { fs: { path, database: databasePath, ...unsealFields(unseal), argon2: argon2Fields(argon2) } }
    }
    case 'vault': {
      const { endpoint, engine, version, namespace, prefix, transit, login, tls, pingMs } = store
      const { type, ...credentials } = login
      const jwt = 'jwt' in login ? { jwt: 'token' in login.jwt ? login.jwt.token : login.jwt.path } : {}
      return {
        vault: {
          ...{ endpoint, engine, version, namespace, prefix, transit },
          [type]: { ...credentials, ...jwt },
          tls: { key: tls.keyFile, cert: tls.certFile, ca: tls.caPath },
          status: { ping: duration(pingMs) },
        },
      }
    }
    case 'aws-secretsmanager': {
      const { endpoint, region, kmsKey: kmskey, credentials } = store
      const { accessKey: accesskey, secretKey: secretkey, token } = credentials ?? {}
      return {
        aws: { secretsmanager: { endpoint, region, kmskey, credentials: { accesskey, secretkey, token } } },
      }
    }
    case 'azure-keyvault': {
      const { endpoint, login } = store
      const clientId = { client_id: login?.clientId }
      const byLogin =
        login?.type === 'credentials'
          ? { credentials: { tenant_id: login.tenantId, ...clientId, client_secret: login.clientSecret } }
          : { managed_identity: login && clientId }
      return { azure: { keyvault: { endpoint, ...byLogin } } }
    }
    case 'gcp-secretmanager': {
      const { projectId: project_id, endpoint, scopes, credentials: login } = store
      const credentials = login && {
        client_email: login.clientEmail,
        client_id: login.clientId,
        private_key_id: login.privateKeyId,
        private_key: login.privateKey,
      }
      return { gcp: { secretmanager: { project_id, endpoint, scopes, credentials } } }
    }
    case 'fortanix-sdkms': {
      const { endpoint, groupId: group_id, apiKey: key, caPath: ca } = store
      return { fortanix: { sdkms: { endpoint, group_id, credentials: { key }, tls: { ca } } } }
    }
    case 'gemalto-keysecure': {
      const { endpoint, refreshToken: token, domain, caPath: ca } = store
      return { gemalto: { keysecure: { endpoint, credentials: { token, domain }, tls: { ca } } } }
    }
    case 'entrust-keycontrol': {
      const { endpoint, vaultId: vault_id, boxId: box_id, username, password, caPath: ca } = store
      return {
        entrust: {
          keycontrol: { endpoint, vault_id, box_id, credentials: { username, password }, tls: { ca } },
        },
      }
    }
  }
}

function unsealFields(unseal: UnsealConfig | undefined): Fields {
  switch (unseal?.type) {
    case undefined:
      return {}
    case 'passphrase':
      return { passphrase: unseal.passphrase }
    case 'passphrase-file':
      return { passphrase_file: unseal.path }
    case 'key-file':
      return { key_file: unseal.path }
  }
}

function argon2Fields({ memoryBytes, passes, parallelism }: Argon2Config): Fields {
  return { memory: formatSize(memoryBytes), passes, parallelism }
}

function duration(ms: number): string {
  return formatDuration(BigInt(Math.round(ms)) * NANOSECONDS)
}
