/**
 * A key as the Go KES keeps it in its key store, whatever the store: text.
 *
 * The current form is the base64 of a Protocol Buffers message, proto3, fields in order, zero values left
 * out:
 *
 *     KeyVersion { 1: SecretKey { 1: bytes key (32), 2: uint32 type (1 = AES256, 2 = ChaCha20) }
 *                  2: HMACKey   { 1: bytes key (32), 2: uint32 hash (1 = SHA-256) }
 *                  3: Timestamp { 1: int64 seconds, 2: int32 nanos }
 *                  4: string created_by }
 *
 * The early form is JSON without an HMAC key. The Go KES reads it and does not write it any more:
 *
 *     { "bytes": base64 (32), "algorithm": name, "created_at": RFC 3339, "created_by": text }
 *
 * A text that is valid JSON is of the early form, anything else of the current one.
 */
import { decodeBase64, findIllegalBase64Offset } from '../encoding/base64.ts'
import { bytesField, fieldsOf, parseJson, textField } from '../encoding/json-fields.ts'
import { ProtobufError, ProtobufWriter, readProtobuf, readProtobufString } from '../encoding/protobuf.ts'
import { canonicalTimestamp, formatTimestamp, parseTimestamp, YEAR_ONE } from '../encoding/timestamp.ts'
import { type Algorithm, parseAlgorithm } from '../store/algorithm.ts'

const KEY_BYTES = 32
const TYPE_NUMBERS: Readonly<Record<Algorithm, number>> = { AES256: 1, ChaCha20: 2 }
const HASH_SHA256 = 1

/** Whoever gets one wipes its buffers; nothing else refers to them. */
export interface StoredKey {
  readonly algorithm: Algorithm
  readonly secretKey: Buffer // 32 bytes.
  readonly hmacKey: Buffer | undefined // 32 bytes; keys of the early form have none.
  readonly createdAt: string // RFC 3339 as KES prints it: UTC, or the offset that an early key was stored with.
  readonly createdBy: string // An identity, '' if unknown.
}

/** The value is no key, or the key can't be stored. Says what is wrong, never what was read. */
export class StoredKeyError extends Error {
  override readonly name = 'StoredKeyError'
}

/** @throws {@link StoredKeyError} */
export function decodeStoredKey(stored: Buffer | string): StoredKey {
  const text = typeof stored === 'string' ? stored : stored.toString('utf8')
  const json = parseJson(text)
  return json === undefined ? decodeCurrent(text) : decodeEarly(json.value)
}

/** @throws {@link StoredKeyError} if the key has no HMAC key: only the early form can do without. */
export function encodeStoredKey(key: StoredKey): string {
  if (key.hmacKey === undefined) throw new StoredKeyError('a key without HMAC key cannot be stored')
  checkLength('secret key', key.secretKey)
  checkLength('HMAC key', key.hmacKey)
  const secretKey = new ProtobufWriter().bytes(1, key.secretKey).uint(2, TYPE_NUMBERS[key.algorithm]).finish()
  const hmacKey = new ProtobufWriter().bytes(1, key.hmacKey).uint(2, HASH_SHA256).finish()
  const message = new ProtobufWriter()
    .message(1, secretKey)
    .message(2, hmacKey)
    .message(3, encodeTimestamp(key.createdAt))
  if (key.createdBy !== '') message.string(4, key.createdBy)
  const encoded = message.finish()
  const text = encoded.toString('base64')
  for (const buffer of [secretKey, hmacKey, encoded]) buffer.fill(0)
  return text
}

/** The early form, in which alone a key without HMAC key can be kept. @throws {@link StoredKeyError} */
export function encodeEarlyKey({ algorithm, secretKey, createdAt, createdBy }: StoredKey): string {
  checkLength('secret key', secretKey)
  const bytes = secretKey.toString('base64')
  return JSON.stringify({ bytes, algorithm, created_at: createdAt, created_by: createdBy })
}

function encodeTimestamp(text: string): Buffer {
  const time = parseTimestamp(text)
  if (time === undefined) throw new StoredKeyError('creation time is not RFC 3339')
  const message = new ProtobufWriter()
  if (time.seconds !== 0n) message.int(1, time.seconds)
  if (time.nanos !== 0) message.uint(2, time.nanos)
  return message.finish()
}

function checkLength(what: string, key: Buffer): void {
  if (key.length !== KEY_BYTES)
    throw new StoredKeyError(`${what} has ${key.length} bytes instead of ${KEY_BYTES}`)
}

function decodeCurrent(text: string): StoredKey {
  if (text === '') throw new StoredKeyError('stored key is empty')
  const message = decodeBase64(text)
  if (message === undefined) {
    throw new StoredKeyError(`stored key is not base64: fault at byte ${findIllegalBase64Offset(text)}`)
  }
  try {
    return decodeMessage(message)
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error
    throw new StoredKeyError(`stored key is not a Protocol Buffers message: ${error.message}`)
  } finally {
    message.fill(0)
  }
}

/** A key within the message. A field that stands there twice counts as it stands there last. */
interface KeyMessage {
  key: Buffer
  kind: number
}

function decodeMessage(message: Buffer): StoredKey {
  let secret: KeyMessage | undefined
  let hmac: KeyMessage | undefined
  const time = { seconds: 0n, nanos: 0 }
  let createdBy = ''
  for (const { number, kind, value } of readProtobuf(message)) {
    if (kind !== 'bytes') continue
    if (number === 1) secret = readKeyMessage(value, secret)
    else if (number === 2) hmac = readKeyMessage(value, hmac)
    else if (number === 3) readTimestamp(value, time)
    else if (number === 4) createdBy = readProtobufString(value)
  }
  if (secret === undefined) throw new StoredKeyError('stored key has no secret key')
  if (hmac === undefined) throw new StoredKeyError('stored key has no HMAC key')
  const algorithm = algorithmOf(secret.kind)
  checkLength('secret key', secret.key)
  if (hmac.kind !== HASH_SHA256) throw new StoredKeyError(`HMAC key is for the unknown hash ${hmac.kind}`)
  checkLength('HMAC key', hmac.key)
  return {
    algorithm,
    secretKey: Buffer.from(secret.key),
    hmacKey: Buffer.from(hmac.key),
    createdAt: formatStoredTime(time),
    createdBy,
  }
}

function readKeyMessage(message: Buffer, earlier: KeyMessage | undefined): KeyMessage {
  const read = earlier ?? { key: Buffer.alloc(0), kind: 0 }
  for (const field of readProtobuf(message)) {
    if (field.number === 1 && field.kind === 'bytes') read.key = field.value
    else if (field.number === 2 && field.kind === 'varint')
      read.kind = Number(BigInt.asUintN(32, field.value))
  }
  return read
}

function readTimestamp(message: Buffer, time: { seconds: bigint; nanos: number }): void {
  for (const { number, kind, value } of readProtobuf(message)) {
    if (kind !== 'varint') continue
    if (number === 1) time.seconds = BigInt.asIntN(64, value)
    else if (number === 2) time.nanos = Number(BigInt.asIntN(32, value))
  }
}

function formatStoredTime(time: { seconds: bigint; nanos: number }): string {
  try {
    return formatTimestamp(time)
  } catch (cause) {
    throw new StoredKeyError('stored key has a creation time out of range', { cause })
  }
}

function algorithmOf(type: number): Algorithm {
  if (type === TYPE_NUMBERS.AES256) return 'AES256'
  if (type === TYPE_NUMBERS.ChaCha20) return 'ChaCha20'
  throw new StoredKeyError(`secret key is of the unknown type ${type}`)
}

function decodeEarly(value: unknown): StoredKey {
  const fields = fieldsOf(value)
  if (fields === undefined) throw new StoredKeyError('stored key is JSON, but not an object')
  const secretKey = bytesField(fields, 'bytes')
  if (secretKey === undefined) throw new StoredKeyError('"bytes" is not base64')
  checkLength('secret key', secretKey)
  const name = textField(fields, 'algorithm')
  const algorithm = name === undefined ? undefined : parseAlgorithm(name || 'AES256')
  if (algorithm === undefined) throw new StoredKeyError('"algorithm" is none that is supported')
  const time = fields.get('created_at') ?? YEAR_ONE
  const createdAt = typeof time === 'string' ? canonicalTimestamp(time) : undefined
  if (createdAt === undefined) throw new StoredKeyError('"created_at" is not RFC 3339')
  const createdBy = textField(fields, 'created_by')
  if (createdBy === undefined) throw new StoredKeyError('"created_by" is not a string')
  return { algorithm, secretKey, hmacKey: undefined, createdAt, createdBy }
}
