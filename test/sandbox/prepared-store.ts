/** Key stores for servers of tests: a folder of the Go KES, and a SQLite store made before its server starts, with keys whose every byte the test chooses. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FsKeystore, SqliteKeystore } from '../../packages/kes-server/src/config/keystore-config.ts'
import { parseKeyName } from '../../packages/kes-server/src/names.ts'
import { readKeyFile } from '../../packages/kes-server/src/seal/key-file.ts'
import { Seal } from '../../packages/kes-server/src/seal/seal.ts'
import type { Algorithm } from '../../packages/kes-server/src/store/key-store.ts'
import { SqliteStore } from '../../packages/kes-server/src/store/sqlite-store.ts'

const CHEAP_ARGON2 = { memoryBytes: 8 * 2 ** 20, passes: 1, parallelism: 1 }

/** As KES's config names it: the folder alone. */
export function fsKeystore(path: string): FsKeystore {
  return { type: 'fs', path, databasePath: undefined, unseal: undefined, argon2: CHEAP_ARGON2 }
}

export interface PreparedKey {
  readonly name: string
  /** Default: AES256. */
  readonly algorithm?: Algorithm
  /** 32 bytes; random by default. */
  readonly secretKey?: Buffer
  /** 32 bytes; random by default. Null: none, as in keys of KES's first releases. */
  readonly hmacKey?: Buffer | null
  readonly createdAt?: string
  readonly createdBy?: string
  /** A bit of this is flipped, as a disk or a hand might do. */
  readonly damaged?: 'sealed' | 'mac'
}

export interface PreparedStore extends Disposable {
  readonly keystore: SqliteKeystore
}

/** @returns a store in a temporary folder, opened by a key file; disposal removes the folder. */
export function prepareStore(keys: readonly PreparedKey[] = []): PreparedStore {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-store-'))
  const keyFile = join(folder, 'unseal.key')
  const path = join(folder, 'keys.db')
  writeFileSync(keyFile, randomBytes(32), { mode: 0o600 })
  const store = SqliteStore.open(path)
  const seal = Seal.create(store, { kind: 'key file', bytes: readKeyFile(keyFile) })
  store.transaction(() => {
    for (const key of keys) insert(store, seal, key)
  })
  seal.destroy()
  store.close()
  return {
    keystore: {
      type: 'sqlite',
      path,
      unseal: { type: 'key-file', path: keyFile },
      argon2: CHEAP_ARGON2,
    },
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true })
    },
  }
}

function insert(store: SqliteStore, seal: Seal, key: PreparedKey): void {
  const { algorithm = 'AES256', createdAt = '2024-01-12T10:39:20.886816Z', createdBy = '' } = key
  const facts = { keyId: randomBytes(16), name: parseKeyName(key.name), algorithm, createdAt, createdBy }
  const material = {
    secretKey: key.secretKey ?? randomBytes(32),
    hmacKey: key.hmacKey === null ? undefined : (key.hmacKey ?? randomBytes(32)),
  }
  const row = {
    ...facts,
    sealed: seal.sealKey(1, facts, material),
    state: 'enabled' as const,
    revision: 1,
    changedAt: createdAt,
    changedBy: createdBy,
    journalEntry: 0,
    rootGeneration: 1,
  }
  const whole = { ...row, mac: seal.macOfRow(row) }
  store.insert(key.damaged === undefined ? whole : { ...whole, [key.damaged]: flipBit(whole[key.damaged]) })
}

function flipBit(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, index) => (index === bytes.length >> 1 ? byte ^ 1 : byte))
}
