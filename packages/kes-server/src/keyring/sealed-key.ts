/**
 * A single key that leaves its store, and comes into another one: the text that is encrypted on the way.
 *
 * JSON: `{"latchkey_key":1,"name","algorithm","created_at","created_by","state","key","hmac_key"}`; the bytes are base64,
 * `hmac_key` is null for keys of KES's first releases.
 */
import { bytesField, fieldsOf, parseJson, textField } from '../encoding/json-fields.ts'
import { canonicalTimestamp, now } from '../encoding/timestamp.ts'
import { KeyNotFoundError } from '../errors.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { parseAlgorithm } from '../store/algorithm.ts'
import { detailOfSchedule } from './deletion-detail.ts'
import { fingerprintOf } from './fingerprint.ts'
import { readKey, type TransferredKey, writeKey } from './key-transfer.ts'
import { BY_OPERATOR, OPERATOR, type UnsealedStore } from './recorded-row.ts'

const FORMAT = 1
const KEY_BYTES = 32

/** The text holds no key. */
export class SealedKeyError extends Error {
  override readonly name = 'SealedKeyError'
}

/**
 * Records that a key leaves its store, and reads it. What the entry says has been done is for the caller to do.
 *
 * @param recipients - for whom, as the journal has it.
 * @returns what the caller wipes.
 * @throws {@link KeyNotFoundError} (404), RecordDamagedError (502)
 */
export function exportKey(unsealed: UnsealedStore, name: KeyName, recipients: string): TransferredKey {
  const { store, seal, journal } = unsealed
  return store.transaction(() => {
    const key = readKey(unsealed, name)
    const row = store.read(name)
    if (row === undefined) throw new KeyNotFoundError()
    const { keyId, algorithm, createdAt, createdBy, state, deletion } = row
    const revision = row.revision + 1
    const { entry } = journal.append({
      ...OPERATOR,
      ...{ name, keyId, algorithm, createdAt, createdBy, state, revision },
      time: now(),
      action: 'export',
      fingerprint: fingerprintOf(key.secretKey),
      detail: { ...(deletion && detailOfSchedule(deletion)), exported_for: recipients, ...BY_OPERATOR },
    })
    const { mac: _, ...changed } = { ...row, revision, journalEntry: entry.number }
    store.replace({ ...changed, mac: seal.macOfRow(changed) }, row.revision)
    return key
  })
}

/**
 * Stores a key under its own name or another one, and records it.
 *
 * @param reuse - take the name of an erased key.
 * @throws KeyExistsError (400), KeyNameReservedError (400)
 */
export function importKey(unsealed: UnsealedStore, key: TransferredKey, name: KeyName, reuse: boolean): void {
  unsealed.store.transaction(() => {
    if (reuse) unsealed.store.dropErased(name)
    writeKey(unsealed, { ...key, name }, 'import', { exported_as: key.name })
  }, 'create key')
}

export function encodeSealedKey(key: TransferredKey): Buffer {
  const { name, algorithm, createdAt, createdBy, state, secretKey, hmacKey } = key
  const text = JSON.stringify({
    ...{ latchkey_key: FORMAT, name, algorithm, created_at: createdAt, created_by: createdBy, state },
    key: Buffer.from(secretKey).toString('base64'),
    hmac_key: hmacKey === undefined ? null : Buffer.from(hmacKey).toString('base64'),
  })
  return Buffer.from(`${text}\n`)
}

/** @throws {@link SealedKeyError}, InvalidNameError (400); neither says what was read. */
export function decodeSealedKey(bytes: Buffer): TransferredKey {
  const fields = fieldsOf(parseJson(bytes.toString('utf8'))?.value)
  if (fields?.get('latchkey_key') !== FORMAT)
    throw new SealedKeyError('the file holds no key of this version')
  const algorithm = parseAlgorithm(textField(fields, 'algorithm') ?? '')
  const createdAt = canonicalTimestamp(textField(fields, 'created_at') ?? '')
  const createdBy = textField(fields, 'created_by')
  const state = ['enabled', 'disabled', 'pending'].find((each) => each === fields.get('state'))
  const secretKey = bytesField(fields, 'key')
  const hmacKey = bytesField(fields, 'hmac_key')
  const isWhole =
    secretKey?.length === KEY_BYTES && (hmacKey?.length === KEY_BYTES || fields.get('hmac_key') === null)
  if (
    algorithm === undefined ||
    createdAt === undefined ||
    createdBy?.isWellFormed() !== true ||
    !state ||
    !isWhole
  ) {
    throw new SealedKeyError('the key in the file is not whole')
  }
  return {
    name: parseKeyName(textField(fields, 'name') ?? ''),
    ...{ algorithm, createdAt, createdBy, secretKey },
    hmacKey: hmacKey?.length === KEY_BYTES ? hmacKey : undefined,
    state: state === 'enabled' ? 'enabled' : 'disabled',
  }
}
