/**
 * `keystore` of the config file: which key store, and how to reach it.
 *
 * Every store of KES is read and checked, with KES's messages; `supported-stores.ts` says which of them this
 * version can open. Paths are relative to the working directory, as in KES.
 */
import {
  type FortanixKeystore,
  type KeyControlKeystore,
  type KeySecureKeystore,
  readFortanix,
  readKeyControl,
  readKeySecure,
} from './appliance-keystores.ts'
import {
  type AwsKeystore,
  type AzureKeystore,
  type GcpKeystore,
  readAws,
  readAzure,
  readGcp,
} from './cloud-keystores.ts'
import { type FsKeystore, readFs } from './fs-keystore.ts'
import { GONE } from './historical-spellings.ts'
import type { Position } from './problem.ts'
import type { Section } from './section.ts'
import { readSqlite, type SqliteKeystore } from './sqlite-keystore.ts'
import { readVault, type VaultKeystore } from './vault-keystore.ts'

export type { FsKeystore } from './fs-keystore.ts'
export type { SqliteKeystore } from './sqlite-keystore.ts'
export type { Argon2Config, UnsealConfig } from './unseal.ts'

export type KeystoreConfig =
  | SqliteKeystore
  | MemoryKeystore
  | FsKeystore
  | VaultKeystore
  | AwsKeystore
  | AzureKeystore
  | GcpKeystore
  | FortanixKeystore
  | KeySecureKeystore
  | KeyControlKeystore

export type KeystoreType = KeystoreConfig['type']

/** Lost at exit; `kes server --dev` only. */
export interface MemoryKeystore {
  readonly type: 'memory'
}

type Reader = (section: Section) => KeystoreConfig | undefined

/** Path of the section below `keystore`, and what reads it. */
const READERS: readonly (readonly [path: readonly string[], read: Reader])[] = [
  [['sqlite'], readSqlite],
  [['fs'], readFs],
  [['vault'], readVault],
  [['aws', 'secretsmanager'], readAws],
  [['azure', 'keyvault'], readAzure],
  [['gcp', 'secretmanager'], readGcp],
  [['fortanix', 'sdkms'], readFortanix],
  [['gemalto', 'keysecure'], readKeySecure],
  [['entrust', 'keycontrol'], readKeyControl],
]

/** The store; the first of several, and `undefined` if there is none or a wrong one. The report says so. */
export function readKeystore(keystore: Section): KeystoreConfig | undefined {
  const found: (readonly [Section, Reader])[] = []
  let isWrong = keystore.isWrong
  for (const [path, read] of READERS) {
    let section = keystore
    for (const name of path) section = section.section(name)
    if (section.isPresent) found.push([section, read])
    isWrong ||= path.length > 1 && keystore.section(path[0] ?? '').isWrong
  }
  const [first, second] = found
  if (second !== undefined) {
    const message = 'kesconf: invalid keystore config: more than once keystore specified'
    keystore.error('keystore', second[0].position, message, 'keep one of them')
  }
  const gone = goneStores(keystore)
  if (first === undefined) {
    const hint = 'known stores: sqlite, fs, vault, aws, azure, gcp, fortanix, gemalto, entrust'
    const missing = gone[0] ?? { position: keystore.position, hint }
    if (!isWrong) keystore.error('keystore', missing.position, 'kesconf: no keystore specified', missing.hint)
    return undefined
  }
  for (const { name, position, hint } of gone) {
    keystore.warn(position, `unknown field '${name}' is ignored`, hint)
  }
  const [store] = found.map(([section, read]) => read(section)) // All are checked.
  return store
}

function goneStores(keystore: Section): { name: string; position: Position; hint: string }[] {
  return keystore.names.flatMap((store) => {
    const name = `keystore.${store}`
    const hint = GONE[name]
    return hint === undefined ? [] : [{ name, position: keystore.keyPositionOf(store), hint }]
  })
}
