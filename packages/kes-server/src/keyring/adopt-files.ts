/**
 * Takes over the keys that a folder of the Go KES holds, and says of each file what is wrong with it.
 *
 * The folder is shared in turn: while this server is down, the Go KES may make and delete keys in it. A new file is a
 * new key. What contradicts this store is never decided by the look of a file: a key whose file is gone, or holds
 * another key, is refused until an operator says what is right, because a folder that is not mounted, or was restored
 * from a backup, looks the same as one that was changed on purpose.
 */
import { randomBytes } from 'node:crypto'
import { RecordDamagedError } from '../errors.ts'
import type { Detail } from '../journal/entry.ts'
import type { Journal } from '../journal/journal.ts'
import type { KeyName } from '../names.ts'
import type { Seal } from '../seal/seal.ts'
import { decodeStoredKey, type StoredKey, StoredKeyError } from '../seal/stored-key.ts'
import type { FsStore } from '../store/fs-store.ts'
import type { KeyFile } from '../store/key-folder.ts'
import type { KeyRow, KeyState } from '../store/key-store.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { FolderFindings } from './folder-findings.ts'
import { BY_OPERATOR, recordRow } from './recorded-row.ts'

const KEY_ID_BYTES = 16
const BATCH_KEYS = 1000
/** A journal entry's texts are shorter than a file may be. */
const CREATOR_LENGTH_MAX = 1000

interface Found extends KeyFile {
  readonly key: StoredKey
}

export function adoptFiles(store: FsStore, seal: Seal, journal: Journal): FolderFindings {
  const { names, others } = store.folder.names()
  const findings: FolderFindings = {
    adopted: [],
    missing: [],
    changed: [],
    revived: [],
    unreadable: [],
    open: [],
    foreign: others,
  }
  const known = new Set(allNames(store))
  const files = new Set(names)
  findings.missing.push(...[...known].filter((name) => !files.has(name)))
  for (let start = 0; start < names.length; start += BATCH_KEYS) {
    store.transaction(() => {
      for (const name of names.slice(start, start + BATCH_KEYS)) {
        if (known.has(name)) examineKnown(store, seal, name, findings)
        else examineNew(store, seal, journal, name, findings)
      }
    })
  }
  return findings
}

/**
 * Takes a file as it is now, because an operator has said so: as another key than the one that had this name before.
 * Under a name that was disabled, or pending deletion, it is disabled.
 *
 * @throws {@link RecordDamagedError} (502) if there is no file, or it holds no key.
 */
export function adoptFile(store: FsStore, seal: Seal, journal: Journal, name: KeyName): void {
  const found = readFile(store, name)
  if (found === undefined) {
    throw new RecordDamagedError('read key', {
      detail: `the file of key '${name}' is missing or holds no key`,
    })
  }
  try {
    store.transaction(() => {
      const row = store.has(name) ? store.read(name) : undefined
      adopt(store, seal, journal, name, found, row, BY_OPERATOR)
    })
  } finally {
    wipe(found)
  }
}

function examineKnown(store: FsStore, seal: Seal, name: KeyName, findings: FolderFindings): void {
  try {
    if (store.folder.read(name)?.isOpenToOthers) findings.open.push(name)
    const row = store.read(name)
    if (row === undefined) return
    const { secretKey, hmacKey } = seal.unsealKey(row)
    secretKey.fill(0)
    hmacKey?.fill(0)
  } catch (error) {
    if (!(error instanceof RecordDamagedError)) throw error
    findings.changed.push(name)
  }
}

function examineNew(
  store: FsStore,
  seal: Seal,
  journal: Journal,
  name: KeyName,
  findings: FolderFindings,
): void {
  const found = readFile(store, name)
  const erased = journal.provenLastOf(name)
  const isErased = erased?.state === 'erased'
  try {
    const isSame = isErased && found !== undefined && isFingerprint(erased.fingerprint, found.key)
    // An erase that was cut off between its commit and the removal of the file, which the store makes up for.
    if (store.isErasing(name) && (found === undefined || isSame || erased?.fingerprint === undefined)) return
    if (found === undefined) findings.unreadable.push(name)
    else if (isSame) findings.revived.push(name)
    else {
      if (found.isOpenToOthers) findings.open.push(name)
      adopt(store, seal, journal, name, found, undefined)
      findings.adopted.push(name)
    }
  } finally {
    if (found !== undefined) wipe(found)
  }
}

/** @param before - the row that the key gets the place of. */
function adopt(
  store: FsStore,
  seal: Seal,
  journal: Journal,
  name: KeyName,
  { key, value }: Found,
  before: KeyRow | undefined,
  detail?: Detail,
): void {
  const { algorithm, createdAt, createdBy } = key
  const facts = { keyId: randomBytes(KEY_ID_BYTES), name, algorithm, createdAt, createdBy }
  const wasTrusted = before !== undefined && seal.isAuthentic(before) && journal.agreesWith(before)
  const wasEnabled = before === undefined || (wasTrusted && before.state === 'enabled')
  const state: KeyState = wasEnabled ? 'enabled' : 'disabled'
  const revision = (before?.revision ?? 0) + 1
  store.dropErased(name)
  const sealAs = (generation: number) => seal.adoptKeyFile(generation, facts, value)
  const origin = { action: 'adopt', state, revision, detail } as const
  const row = recordRow({ store, seal, journal }, facts, key.secretKey, sealAs, origin)
  if (before === undefined) store.insertFound(row)
  else store.replace(row, before.revision)
}

/** @returns undefined if there is no file, or it holds no key that this store can keep. */
function readFile(store: FsStore, name: KeyName): Found | undefined {
  try {
    const file = store.folder.read(name)
    if (file === undefined) return undefined
    const found = { ...file, key: decodeStoredKey(file.value) }
    const { createdBy } = found.key
    if (createdBy.length <= CREATOR_LENGTH_MAX && createdBy.isWellFormed()) return found
    wipe(found)
    return undefined
  } catch (error) {
    if (error instanceof StoredKeyError || error instanceof RecordDamagedError) return undefined
    throw error
  }
}

function isFingerprint(fingerprint: Uint8Array | undefined, key: StoredKey): boolean {
  return fingerprint !== undefined && fingerprintOf(key.secretKey).equals(fingerprint)
}

function wipe({ key, value }: Found): void {
  for (const bytes of [key.secretKey, key.hmacKey, value]) bytes?.fill(0)
}

function* allNames(store: FsStore): Generator<KeyName> {
  let after: string | undefined
  for (;;) {
    const page = store.names('', after, BATCH_KEYS)
    yield* page
    after = page.at(-1)
    if (after === undefined) return
  }
}
