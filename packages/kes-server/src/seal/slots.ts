/**
 * Slots: the root key, wrapped once for each secret that opens the store.
 *
 *     passphrase                                 key file
 *     offset  bytes  field                       offset  bytes  field
 *          0      1  format version, 0x01             0      1  format version, 0x01
 *          1      1  kind, 0x01                       1      1  kind, 0x02
 *          2      4  argon2id memory in KiB           2     16  salt
 *          6      4  argon2id passes                 18     12  nonce
 *         10      4  argon2id parallelism            30     32  AES-256-GCM ciphertext: root key
 *         14     16  salt                            62     16  tag
 *         30     12  nonce
 *         42     32  AES-256-GCM ciphertext: root key
 *         74     16  tag
 *
 * Integers are big-endian. The wrapping key is argon2id(passphrase, salt) or HKDF-SHA-256(file's bytes, salt). The
 * associated data is everything before the nonce with the store id, the label and the time, so a slot opens in no
 * other store and none of its parameters can be changed.
 *
 * @see docs/sealed-record.md for the reasons.
 */
import { type KeyObject, randomBytes } from 'node:crypto'
import type { NewSlot, SlotRow } from '../store/seal-store.ts'
import { AEAD_OVERHEAD_BYTES, aeadOpen, aeadSeal } from './aead.ts'
import { frame } from './frame.ts'
import { KEY_FILE_BYTES_MIN } from './key-file.ts'
import {
  ALLOWED_COST,
  isAllowedCost,
  type PassphraseCost,
  stretchPassphrase,
  stretchPassphraseAside,
} from './passphrase-cost.ts'
import { deriveKey, ROOT_KEY_BYTES, RootKey } from './root-key.ts'
import {
  SealDamagedError,
  type SealOpenError,
  UnfitSecretError,
  WrongKeyFileError,
  WrongPassphraseError,
} from './seal-errors.ts'

/** What opens a slot. Whoever holds one wipes its buffer when done. */
export type Secret =
  | { readonly kind: 'passphrase'; readonly passphrase: Uint8Array }
  | { readonly kind: 'key file'; readonly bytes: Uint8Array }

/** What is authenticated about a slot beside its parameters. */
export interface SlotFacts {
  /** 16 bytes. */
  readonly storeId: Uint8Array
  readonly label: string
  /** RFC 3339, UTC. */
  readonly createdAt: string
}

/** What a slot says of itself without its secret. */
export interface SlotDescription {
  readonly slotId: number
  readonly label: string
  readonly createdAt: string
  readonly kind: Secret['kind'] | 'damaged'
  /** Of a passphrase. */
  readonly cost?: PassphraseCost
}

export interface OpenedSlot {
  readonly slot: SlotRow
  readonly rootKey: RootKey
}

/** What stands before the nonce. */
type SlotHeader =
  | { readonly kind: 'passphrase'; readonly cost: PassphraseCost; readonly salt: Uint8Array }
  | { readonly kind: 'key file'; readonly salt: Uint8Array }

/** Bounds what a crafted file can make a server compute. */
export const SLOTS_MAX = 8
const PASSPHRASE_BYTES_MIN = 8

const VERSION = 1
const PASSPHRASE_KIND = 1
const KEY_FILE_KIND = 2
const SALT_BYTES = 16
const PASSPHRASE_HEADER_BYTES = 14 + SALT_BYTES
const KEY_FILE_HEADER_BYTES = 2 + SALT_BYTES
const BOX_BYTES = ROOT_KEY_BYTES + AEAD_OVERHEAD_BYTES

/**
 * Whether a new slot may have this passphrase; to be asked before anything is written for it.
 *
 * @throws {@link UnfitSecretError} if it is too short or its cost is out of bounds.
 */
export function assertFitPassphrase(passphrase: Uint8Array, cost: PassphraseCost): void {
  if (passphrase.length < PASSPHRASE_BYTES_MIN) {
    throw new UnfitSecretError(`the passphrase has fewer than ${PASSPHRASE_BYTES_MIN} bytes`)
  }
  if (!isAllowedCost(cost))
    throw new UnfitSecretError(`the cost of the passphrase is out of bounds: ${ALLOWED_COST}`)
}

/**
 * @param passphrase - 8 bytes or more, as UTF-8.
 * @throws {@link UnfitSecretError} if the passphrase is shorter or the cost is out of bounds.
 */
export function createPassphraseSlot(
  rootKey: RootKey,
  passphrase: Uint8Array,
  cost: PassphraseCost,
  facts: SlotFacts,
): NewSlot {
  assertFitPassphrase(passphrase, cost)
  const header: SlotHeader = { kind: 'passphrase', cost, salt: randomBytes(SALT_BYTES) }
  return wrap(rootKey, header, { kind: 'passphrase', passphrase }, facts)
}

/**
 * @param bytes - 32 or more, of which at least that many are random.
 * @throws {@link UnfitSecretError} if there are fewer.
 */
export function createKeyFileSlot(rootKey: RootKey, bytes: Uint8Array, facts: SlotFacts): NewSlot {
  if (bytes.length < KEY_FILE_BYTES_MIN) {
    throw new UnfitSecretError(`the key file has fewer than ${KEY_FILE_BYTES_MIN} bytes`)
  }
  return wrap(
    rootKey,
    { kind: 'key file', salt: randomBytes(SALT_BYTES) },
    { kind: 'key file', bytes },
    facts,
  )
}

/** @throws {@link UnfitSecretError} as {@link createPassphraseSlot} and {@link createKeyFileSlot}. */
export function createSlot(
  rootKey: RootKey,
  secret: Secret,
  cost: PassphraseCost,
  facts: SlotFacts,
): NewSlot {
  return secret.kind === 'passphrase'
    ? createPassphraseSlot(rootKey, secret.passphrase, cost, facts)
    : createKeyFileSlot(rootKey, secret.bytes, facts)
}

/** As {@link createSlot}, beside other work of the process. */
export async function createSlotAside(
  rootKey: RootKey,
  secret: Secret,
  cost: PassphraseCost,
  facts: SlotFacts,
): Promise<NewSlot> {
  if (secret.kind === 'key file') return createKeyFileSlot(rootKey, secret.bytes, facts)
  assertFitPassphrase(secret.passphrase, cost)
  const header = { kind: 'passphrase', cost, salt: randomBytes(SALT_BYTES) } as const
  const key = await stretchPassphraseAside(secret.passphrase, header.salt, cost)
  return wrapUnder(key, rootKey, header, facts)
}

/**
 * The first slot that the secret opens, beside other work of the process.
 *
 * @returns undefined if it opens none.
 */
export async function findSlot(
  slots: readonly SlotRow[],
  secret: Secret,
  storeId: Uint8Array,
): Promise<OpenedSlot | undefined> {
  for (const slot of slots.slice(0, SLOTS_MAX)) {
    const header = decodeHeader(slot.record)
    if (header?.kind !== secret.kind) continue
    const key =
      header.kind === 'passphrase' && secret.kind === 'passphrase'
        ? await stretchPassphraseAside(secret.passphrase, header.salt, header.cost)
        : wrappingKey(header, secret)
    const rootKey = unwrapUnder(key, slot.record, { storeId, ...slot })
    if (rootKey !== undefined) return { slot, rootKey }
  }
  return undefined
}

export function describeSlot({ slotId, label, createdAt, record }: SlotRow): SlotDescription {
  const header = decodeHeader(record)
  const facts = { slotId, label, createdAt, kind: header?.kind ?? 'damaged' } as const
  return header?.kind === 'passphrase' ? { ...facts, cost: header.cost } : facts
}

/** The bytes of a slot's record that hold the root key: nonce, ciphertext and tag. */
export function boxOf(record: Uint8Array): Uint8Array {
  return record.subarray(-BOX_BYTES)
}

/**
 * The root key, from the first slot that the secret opens.
 *
 * @throws {@link WrongPassphraseError} or {@link WrongKeyFileError} if it opens none.
 * @throws {@link SealDamagedError} if there is no slot, or more than {@link SLOTS_MAX}.
 */
export function openSlots(slots: readonly SlotRow[], secret: Secret, storeId: Uint8Array): OpenedSlot {
  if (slots.length === 0)
    throw new SealDamagedError('the store has no slot, so no passphrase or key file opens it')
  if (slots.length > SLOTS_MAX) throw new SealDamagedError(`the store has more than ${SLOTS_MAX} slots`)

  let damaged = 0
  let tried = 0
  for (const slot of slots) {
    const header = decodeHeader(slot.record)
    if (header === undefined) damaged += 1
    if (header?.kind !== secret.kind) continue
    tried += 1
    const rootKey = unwrapUnder(wrappingKey(header, secret), slot.record, { storeId, ...slot })
    if (rootKey !== undefined) return { slot, rootKey }
  }
  throw wrongSecret(secret, tried, damaged)
}

function wrongSecret(secret: Secret, tried: number, damaged: number): SealOpenError {
  const damage = damaged > 0 ? `; ${damaged} of its slots can not be read` : ''
  const [wrong, other] =
    secret.kind === 'passphrase'
      ? [WrongPassphraseError, 'it is opened with a key file']
      : [WrongKeyFileError, 'it is opened with a passphrase']
  return new wrong(tried === 0 && damaged === 0 ? `: ${other}` : damage)
}

function wrap(rootKey: RootKey, header: SlotHeader, secret: Secret, facts: SlotFacts): NewSlot {
  return wrapUnder(wrappingKey(header, secret), rootKey, header, facts)
}

function wrapUnder(key: KeyObject, rootKey: RootKey, header: SlotHeader, facts: SlotFacts): NewSlot {
  const headerBytes = encodeHeader(header)
  const box = rootKey.lend((bytes) => aeadSeal(key, associatedData(headerBytes, facts), bytes))
  const { label, createdAt } = facts
  return { label, createdAt, record: Buffer.concat([headerBytes, box]) }
}

function unwrapUnder(key: KeyObject, record: Uint8Array, facts: SlotFacts): RootKey | undefined {
  const headerBytes = record.subarray(0, -BOX_BYTES)
  const bytes = aeadOpen(key, associatedData(headerBytes, facts), boxOf(record))
  return bytes && RootKey.from(bytes)
}

function wrappingKey(header: SlotHeader, secret: Secret): KeyObject {
  if (header.kind === 'passphrase' && secret.kind === 'passphrase') {
    return stretchPassphrase(secret.passphrase, header.salt, header.cost)
  }
  if (header.kind === 'key file' && secret.kind === 'key file') {
    return deriveKey(secret.bytes, header.salt, 'latchkey/key-file-slot/v1')
  }
  throw new TypeError(`a ${secret.kind} does not fit a ${header.kind} slot`)
}

function associatedData(headerBytes: Uint8Array, { storeId, label, createdAt }: SlotFacts): Buffer {
  return frame('latchkey slot v1', storeId, label, createdAt, headerBytes)
}

function encodeHeader(header: SlotHeader): Buffer {
  if (header.kind === 'key file') return Buffer.concat([Buffer.of(VERSION, KEY_FILE_KIND), header.salt])
  const { memoryKiB, passes, parallelism } = header.cost
  const fixed = Buffer.alloc(PASSPHRASE_HEADER_BYTES - SALT_BYTES)
  fixed.writeUInt8(VERSION, 0)
  fixed.writeUInt8(PASSPHRASE_KIND, 1)
  fixed.writeUInt32BE(memoryKiB, 2)
  fixed.writeUInt32BE(passes, 6)
  fixed.writeUInt32BE(parallelism, 10)
  return Buffer.concat([fixed, header.salt])
}

/** @returns undefined if the record has not the length of its kind, is of no known kind, or asks too much. */
function decodeHeader(record: Uint8Array): SlotHeader | undefined {
  const header = Buffer.from(record.subarray(0, -BOX_BYTES))
  if (header[0] !== VERSION) return undefined
  if (header[1] === KEY_FILE_KIND && header.length === KEY_FILE_HEADER_BYTES) {
    return { kind: 'key file', salt: header.subarray(-SALT_BYTES) }
  }
  if (header[1] === PASSPHRASE_KIND && header.length === PASSPHRASE_HEADER_BYTES) {
    const cost = {
      memoryKiB: header.readUInt32BE(2),
      passes: header.readUInt32BE(6),
      parallelism: header.readUInt32BE(10),
    }
    return isAllowedCost(cost) ? { kind: 'passphrase', cost, salt: header.subarray(-SALT_BYTES) } : undefined
  }
  return undefined
}
