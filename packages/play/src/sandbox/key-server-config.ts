/** The config file of the sandbox's key server. */

export interface KeyServerSettings {
  /** `127.0.0.1:7373` */
  readonly address: string
  /** Who may do everything: the visitor. */
  readonly rootIdentity: string
  readonly nodeIdentity: string
  readonly console: {
    /** `127.0.0.1:9001` */
    readonly address: string
    /** URL, as browsers open it. */
    readonly origin: string
  }
  /** URL of S3. */
  readonly node: string
  /** Paths. */
  readonly files: Readonly<Record<'tlsKey' | 'tlsCert' | 'ca' | 'store' | 'sealKey', string>>
}

/** The config has no secret: it names the variables of {@link consoleVariables}, which the file `env` has, too. */
export function keyServerConfig(settings: KeyServerSettings): string {
  const { address, rootIdentity, nodeIdentity, console, node, files } = settings
  return `# Written by 'npm start' at each start. Without the storage node, with what the file 'env' has:
# kes server --config FILE
version: v1
address: ${JSON.stringify(address)}
workers: 1

admin:
  identity: ${rootIdentity}

tls:
  key: ${JSON.stringify(files.tlsKey)}
  cert: ${JSON.stringify(files.tlsCert)}

policy:
  storage-node:
    allow:
    - /v1/key/create/*
    - /v1/key/generate/*
    - /v1/key/decrypt/*
    identities:
    - ${nodeIdentity}

log:
  audit: off   # On stdout. 'kes log --audit' shows every event.

console:
  address: ${JSON.stringify(console.address)}
  origin: ${JSON.stringify(console.origin)}
  tls: ${console.origin.startsWith('https:') ? 'on' : 'off'}
  sandbox: on
  node:
    endpoint: ${JSON.stringify(node)}
    access_key: \${AWS_ACCESS_KEY_ID}
    secret_key: \${AWS_SECRET_ACCESS_KEY}
    ca: ${JSON.stringify(files.ca)}

keystore:
  sqlite:
    path: ${JSON.stringify(files.store)}
    key_file: ${JSON.stringify(files.sealKey)}
`
}

export function consoleVariables(accessKey: string, secretKey: string): Record<string, string> {
  return { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey }
}
