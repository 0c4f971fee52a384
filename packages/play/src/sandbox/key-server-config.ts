/** The config file of the sandbox's key server. */

export interface KeyServerSettings {
  /** `127.0.0.1:7373` */
  readonly address: string
  /** Who may do everything: the visitor. */
  readonly rootIdentity: string
  readonly nodeIdentity: string
  /** Paths. */
  readonly files: Readonly<Record<'tlsKey' | 'tlsCert' | 'store' | 'sealKey', string>>
}

export function keyServerConfig({ address, rootIdentity, nodeIdentity, files }: KeyServerSettings): string {
  return `# Written by 'npm start' at each start. The keys alone: npx kes server --config FILE
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

keystore:
  sqlite:
    path: ${JSON.stringify(files.store)}
    key_file: ${JSON.stringify(files.sealKey)}
`
}
