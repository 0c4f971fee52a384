/** What a migration reads keys from: an open store of ours, or a folder that the Go KES has left. */
import { RecordDamagedError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { isName, type KeyName } from '../names.ts'
import type { Seal } from '../seal/seal.ts'
import { decodeStoredKey, StoredKeyError } from '../seal/stored-key.ts'
import type { KeyFolder } from '../store/key-folder.ts'
import type { Algorithm } from '../store/key-store.ts'
import type { SqliteStore } from '../store/sqlite-store.ts'
import { readKey, type TransferredKey } from './key-transfer.ts'
import { unlessDamaged } from './unless-damaged.ts'

const PAGE_NAMES = 1000

export interface MigrationSource {
  /** As the journal of the target names it. */
  readonly label: string
  /** In the order of their bytes. */
  names(): KeyName[]
  /** @throws {@link RecordDamagedError} (502) */
  read(name: KeyName): TransferredKey
  /** Keys that were erased, and whose names are reserved. */
  erased(): Iterable<ErasedKey>
}

export interface ErasedKey {
  readonly name: KeyName
  /** 16 bytes. */
  readonly keyId: Uint8Array
  readonly erasedAt: string
  readonly erasedBy: string
  /** The rest is what the journal proves of the key. */
  readonly algorithm: Algorithm | undefined
  readonly createdAt: string
  readonly createdBy: string
  readonly fingerprint: Uint8Array | undefined
}

export class StoreSource implements MigrationSource {
  readonly label: string
  readonly #opened: { readonly store: SqliteStore; readonly seal: Seal; readonly journal: Journal }

  constructor(opened: { store: SqliteStore; seal: Seal; journal: Journal; label: string }) {
    this.label = opened.label
    this.#opened = opened
  }

  names(): KeyName[] {
    const { store } = this.#opened
    return allPages((after) => store.names('', after === '' ? undefined : after, PAGE_NAMES)).filter(
      isName,
    ) as KeyName[]
  }

  read(name: KeyName): TransferredKey {
    return readKey(this.#opened, name)
  }

  *erased(): Iterable<ErasedKey> {
    const { store, journal } = this.#opened
    for (const name of allPages((after) => store.erasedNames(after, PAGE_NAMES))) {
      const tombstone = unlessDamaged(() => store.readErased(name))
      if (tombstone === undefined) continue
      const { keyId, erasedAt, erasedBy } = tombstone
      const { algorithm, createdAt = '', createdBy = '', fingerprint } = journal.provenLastOf(name) ?? {}
      yield { name, keyId, erasedAt, erasedBy, algorithm, createdAt, createdBy, fingerprint }
    }
  }
}

export class FolderSource implements MigrationSource {
  readonly label: string
  /** How many entries of the folder are no keys by their names. */
  readonly others: number
  readonly #folder: KeyFolder
  readonly #names: readonly KeyName[]

  constructor(folder: KeyFolder) {
    this.label = `Filesystem: ${folder.path}`
    this.#folder = folder
    const { names, others } = folder.names()
    this.#names = names.sort() // Names are ASCII.
    this.others = others
  }

  names(): KeyName[] {
    return [...this.#names]
  }

  read(name: KeyName): TransferredKey {
    const value = this.#folder.read(name)?.value
    try {
      if (value === undefined) throw new StoredKeyError('the file is gone')
      return { name, state: 'enabled', ...decodeStoredKey(value) }
    } catch (cause) {
      if (!(cause instanceof StoredKeyError)) throw cause
      const detail = `the file of key '${name}' holds no key: ${cause.message}`
      throw new RecordDamagedError('read key', { detail, cause })
    } finally {
      value?.fill(0)
    }
  }

  erased(): Iterable<ErasedKey> {
    return []
  }
}

function allPages(readAfter: (after: string) => KeyName[]): KeyName[] {
  const names: KeyName[] = []
  for (;;) {
    const page = readAfter(names.at(-1) ?? '')
    if (page.length === 0) return names
    names.push(...page)
  }
}
