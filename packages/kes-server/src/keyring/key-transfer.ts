/** A key on its way from one store to another: in plaintext, with everything that belongs to it. */
import assert from 'node:assert/strict'
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { KeyNotFoundError, RecordDamagedError } from '../errors.ts'
import type { Detail } from '../journal/entry.ts'
import type { KeyName } from '../names.ts'
import type { Algorithm, KeyState } from '../store/key-store.ts'
import { BY_OPERATOR, recordRow, type UnsealedStore } from './recorded-row.ts'

/** Whoever has one wipes it, by {@link wipeKey}. */
export interface TransferredKey {
  readonly name: KeyName
  readonly algorithm: Algorithm
  /** RFC 3339. */
  readonly createdAt: string
  readonly createdBy: string
  /** 32 bytes. */
  readonly secretKey: Uint8Array
  /** 32 bytes; undefined for keys of KES's first releases. */
  readonly hmacKey: Uint8Array | undefined
  /** As it was in the store that the key comes from. */
  readonly state: KeyState
}

const KEY_ID_BYTES = 16

/** @throws {@link KeyNotFoundError} (404), {@link RecordDamagedError} (502) */
export function readKey({ store, seal, journal }: UnsealedStore, name: KeyName): TransferredKey {
  const row = store.read(name)
  if (row === undefined) throw new KeyNotFoundError()
  if (!seal.isAuthentic(row) || !journal.agreesWith(row)) {
    throw new RecordDamagedError('read key', { detail: `the record of key '${name}' was changed by hand` })
  }
  const { algorithm, createdAt, createdBy, state } = row
  return { name, algorithm, createdAt, createdBy, state, ...seal.unsealKey(row) }
}

/**
 * Stores a key that its store has not, and records it. Inside a transaction.
 *
 * A key that is pending deletion arrives disabled: its dates rest on the running time of the store that it left.
 *
 * @param detail - where it comes from.
 * @throws KeyExistsError (400), KeyNameReservedError (400)
 */
export function writeKey(
  unsealed: UnsealedStore,
  key: TransferredKey,
  action: 'adopt' | 'import',
  detail: Detail,
): void {
  const { name, algorithm, createdAt, createdBy } = key
  const facts = { keyId: randomBytes(KEY_ID_BYTES), name, algorithm, createdAt, createdBy }
  const state = key.state === 'enabled' ? 'enabled' : 'disabled'
  const sealAs = (generation: number) => unsealed.seal.sealKey(generation, facts, key)
  unsealed.store.insert(
    recordRow(unsealed, facts, key.secretKey, sealAs, {
      action,
      state,
      revision: 1,
      detail: { ...detail, ...BY_OPERATOR },
    }),
  )
}

/** Whether both are one key, whatever state each is in. */
export function isSameKey(a: TransferredKey, b: TransferredKey): boolean {
  return (
    a.name === b.name &&
    a.algorithm === b.algorithm &&
    a.createdAt === b.createdAt &&
    a.createdBy === b.createdBy &&
    timingSafeEqual(a.secretKey, b.secretKey) &&
    (a.hmacKey === undefined || b.hmacKey === undefined
      ? a.hmacKey === b.hmacKey
      : timingSafeEqual(a.hmacKey, b.hmacKey))
  )
}

/**
 * Reads a key back that was just written.
 *
 * @throws an AssertionError if it is not as it was written.
 */
export function assertStored(unsealed: UnsealedStore, key: TransferredKey): void {
  const found = readKey(unsealed, key.name)
  assert(isSameKey(found, key), `the key '${key.name}' is not read back as it was written`)
  wipeKey(found)
}

export function wipeKey({ secretKey, hmacKey }: TransferredKey): void {
  secretKey.fill(0)
  hmacKey?.fill(0)
}
