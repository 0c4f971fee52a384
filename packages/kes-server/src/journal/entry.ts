/**
 * A journal entry ↔ its canonical bytes, and its signature.
 *
 *     offset  bytes  field
 *          0      1  format version: 0x01, or 0x02 with a detail
 *          1     16  store id
 *         17      8  number, big-endian, from 1
 *         25     32  SHA-256 of the bytes of the entry before; zeros in the first
 *         57      1  action
 *         58      1  resulting state
 *         59      1  algorithm
 *         60      8  resulting revision, big-endian
 *         68     16  key id; zeros if the entry is about no key
 *         84      1  length of the fingerprint: 0 or 16
 *         85      n  fingerprint
 *                    then six texts, each 2 bytes of length, big-endian, and UTF-8:
 *                    time, key name, identity, address, created at, created by;
 *                    and in version 0x02 a seventh: the detail, as JSON
 *
 * There is one encoding for each entry: what does not encode to the same bytes again is refused.
 *
 * @see docs/journal.md for the numbers and the reasons.
 */
import assert from 'node:assert/strict'
import { createHash, type KeyObject, sign, verify } from 'node:crypto'
import type { Algorithm, KeyState } from '../store/key-store.ts'

export type Action =
  | 'set-up'
  | 'adopt'
  | 'create'
  | 'import'
  | 'reuse'
  | 'enable'
  | 'disable'
  | 'erase'
  | 'schedule'
  | 'cancel'
  | 'add slot'
  | 'remove slot'
  | 'new root key'
  | 'audit head'
  | 'backup'
  | 'restore'
  | 'export'
export type ResultingState = KeyState | 'erased' | 'none'

/** What only entries of this action have to say. */
export type Detail = Readonly<Record<string, string | number>>

export interface Entry {
  /** 16 bytes. */
  readonly storeId: Uint8Array
  /** From 1, one more each. */
  readonly number: number
  /** 32 bytes: {@link hashOf} the entry before. */
  readonly previous: Uint8Array
  /** RFC 3339, UTC. */
  readonly time: string
  readonly action: Action
  /** Empty if the entry is about no key, as the texts below. */
  readonly name: string
  /** 16 bytes. */
  readonly keyId: Uint8Array
  /** Undefined if the record could not be read any more. */
  readonly algorithm: Algorithm | undefined
  readonly state: ResultingState
  /** Of the key's row after the change; 0 if the entry is about no key. */
  readonly revision: number
  /** Who did it; empty without a certificate. */
  readonly identity: string
  /** From which address; empty for the server itself. */
  readonly ip: string
  /** When and by whom the key was made; empty if the record could not be read any more. */
  readonly createdAt: string
  readonly createdBy: string
  /** 16 bytes by which the key's bytes can be recognised. */
  readonly fingerprint: Uint8Array | undefined
  /** Undefined if there is none; never empty. */
  readonly detail?: Detail | undefined
}

export interface SignedEntry {
  readonly bytes: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
}

/** The bytes are no entry. */
export class EntryFormatError extends Error {
  override readonly name = 'EntryFormatError'
}

const [VERSION, VERSION_WITH_DETAIL] = [1, 2]
export const HASH_BYTES = 32
const ID_BYTES = 16
const FINGERPRINT_BYTES = 16
const FIXED_BYTES = 85
const TEXT_BYTES_MAX = 0xffff

const ACTION_NUMBERS: Readonly<Record<Action, number>> = {
  'set-up': 1,
  adopt: 2,
  create: 3,
  import: 4,
  reuse: 5,
  enable: 6,
  disable: 7,
  erase: 8,
  schedule: 9,
  cancel: 10,
  'add slot': 11,
  'remove slot': 12,
  'new root key': 13,
  'audit head': 14,
  backup: 15,
  restore: 16,
  export: 17,
}
const STATE_NUMBERS: Readonly<Record<ResultingState, number>> = {
  none: 0,
  enabled: 1,
  disabled: 2,
  erased: 3,
  pending: 4,
}
const ALGORITHM_NUMBERS: Readonly<Record<Algorithm, number>> = { AES256: 1, ChaCha20: 2 }
const NO_ALGORITHM = 0

const ACTIONS = inverse(ACTION_NUMBERS)
const STATES = inverse(STATE_NUMBERS)
const ALGORITHMS = inverse(ALGORITHM_NUMBERS)

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function encodeEntry(entry: Entry): Buffer {
  assert.equal(entry.storeId.length, ID_BYTES)
  assert.equal(entry.previous.length, HASH_BYTES)
  assert.equal(entry.keyId.length, ID_BYTES)
  assert(Number.isSafeInteger(entry.number) && entry.number >= 1)
  assert(Number.isSafeInteger(entry.revision) && entry.revision >= 0)
  const { fingerprint = new Uint8Array() } = entry
  assert(fingerprint.length === 0 || fingerprint.length === FINGERPRINT_BYTES)

  const fixed = Buffer.alloc(FIXED_BYTES)
  fixed[0] = entry.detail === undefined ? VERSION : VERSION_WITH_DETAIL
  fixed.set(entry.storeId, 1)
  fixed.writeBigUInt64BE(BigInt(entry.number), 17)
  fixed.set(entry.previous, 25)
  fixed[57] = ACTION_NUMBERS[entry.action]
  fixed[58] = STATE_NUMBERS[entry.state]
  fixed[59] = entry.algorithm === undefined ? NO_ALGORITHM : ALGORITHM_NUMBERS[entry.algorithm]
  fixed.writeBigUInt64BE(BigInt(entry.revision), 60)
  fixed.set(entry.keyId, 68)
  fixed[84] = fingerprint.length
  const { time, name, identity, ip, createdAt, createdBy, detail } = entry
  const texts = [time, name, identity, ip, createdAt, createdBy]
  if (detail !== undefined) texts.push(encodeDetail(detail))
  return Buffer.concat([fixed, fingerprint, ...texts.flatMap(encodeText)])
}

/** JSON without white space, its names in the order of their UTF-16 code units. */
function encodeDetail(detail: Detail): string {
  const fields = Object.entries(detail).sort(([a], [b]) => (a < b ? -1 : 1))
  assert(fields.length > 0)
  assert(fields.every(([, value]) => typeof value === 'string' || Number.isSafeInteger(value)))
  return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
}

function encodeText(text: string): Buffer[] {
  assert(text.isWellFormed())
  const bytes = Buffer.from(text)
  assert(bytes.length <= TEXT_BYTES_MAX)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return [length, bytes]
}

/** @throws {@link EntryFormatError} */
export function decodeEntry(bytes: Uint8Array): Entry {
  const entry = readFields(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  if (!encodeEntry(entry).equals(bytes)) throw new EntryFormatError('the entry is not in its canonical form')
  return entry
}

function readFields(bytes: Buffer): Entry {
  if (bytes.length < FIXED_BYTES) throw new EntryFormatError('the entry is cut off')
  const hasDetail = bytes[0] === VERSION_WITH_DETAIL
  if (bytes[0] !== VERSION && !hasDetail) {
    throw new EntryFormatError(`the entry is of the unknown format ${bytes[0]}`)
  }
  const action = ACTIONS.get(bytes.readUInt8(57))
  if (action === undefined) throw new EntryFormatError(`the entry has the unknown action ${bytes[57]}`)
  const state = STATES.get(bytes.readUInt8(58))
  if (state === undefined) throw new EntryFormatError(`the entry has the unknown state ${bytes[58]}`)
  const algorithm = ALGORITHMS.get(bytes.readUInt8(59))
  const fingerprintBytes = bytes.readUInt8(84)
  if (fingerprintBytes !== 0 && fingerprintBytes !== FINGERPRINT_BYTES) {
    throw new EntryFormatError('the entry has a fingerprint of a wrong length')
  }
  const texts: string[] = []
  let at = FIXED_BYTES + fingerprintBytes
  for (let index = 0; index < (hasDetail ? 7 : 6); index += 1) {
    const length = at + 2 <= bytes.length ? bytes.readUInt16BE(at) : 0
    if (at + 2 + length > bytes.length) throw new EntryFormatError('the entry is cut off')
    texts.push(decodeText(bytes.subarray(at + 2, at + 2 + length)))
    at += 2 + length
  }
  const [time = '', name = '', identity = '', ip = '', createdAt = '', createdBy = '', detail] = texts
  return {
    storeId: bytes.subarray(1, 17),
    number: readInteger(bytes, 17, 1),
    previous: bytes.subarray(25, 57),
    time,
    action,
    name,
    keyId: bytes.subarray(68, 84),
    algorithm,
    state,
    revision: readInteger(bytes, 60, 0),
    identity,
    ip,
    createdAt,
    createdBy,
    fingerprint: fingerprintBytes === 0 ? undefined : bytes.subarray(FIXED_BYTES, FIXED_BYTES + 16),
    detail: detail === undefined ? undefined : decodeDetail(detail),
  }
}

function decodeDetail(text: string): Detail {
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch (cause) {
    throw new EntryFormatError('the entry has a detail that is not JSON', { cause })
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw wrongDetail()
  const detail = Object.fromEntries<unknown>(Object.entries(fields))
  if (Object.keys(detail).length === 0 || !isDetail(detail)) throw wrongDetail()
  return detail
}

function isDetail(fields: Readonly<Record<string, unknown>>): fields is Detail {
  return Object.values(fields).every((value) =>
    typeof value === 'string' ? value.isWellFormed() : Number.isSafeInteger(value),
  )
}

function wrongDetail(): EntryFormatError {
  return new EntryFormatError('the entry has a detail that is no object of texts and whole numbers')
}

function readInteger(bytes: Buffer, offset: number, min: number): number {
  const value = Number(bytes.readBigUInt64BE(offset))
  if (!Number.isSafeInteger(value) || value < min) {
    throw new EntryFormatError('the entry has a number that is out of range')
  }
  return value
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new EntryFormatError('the entry has a text that is not UTF-8', { cause })
  }
}

/** @returns 32 bytes. */
export function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

const DOMAIN = Buffer.from('latchkey journal entry v1\0')

/** Ed25519 (RFC 8032) over the domain `latchkey journal entry v1`, a zero byte, and the entry's bytes. */
export function signEntry(privateKey: KeyObject, entry: Entry): SignedEntry {
  const bytes = encodeEntry(entry)
  return { bytes, signature: sign(null, Buffer.concat([DOMAIN, bytes]), privateKey) }
}

export function isSignedBy(publicKey: KeyObject, { bytes, signature }: SignedEntry): boolean {
  return verify(null, Buffer.concat([DOMAIN, bytes]), publicKey, signature)
}

function inverse<Word extends string>(numbers: Readonly<Record<Word, number>>): ReadonlyMap<number, Word> {
  return new Map(Object.entries<number>(numbers).map(([word, number]) => [number, word as Word]))
}
