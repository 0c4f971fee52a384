/** What KES and its own libraries have recorded: section 10 of its protocol, and the vectors of test/vectors/kes. */
import { readVectors } from '../read-vectors.ts'
import { type Case, error, json, NOT_AUTHENTIC, type Request } from './case.ts'
import { recordedKeys } from './server-under-test.ts'

interface Ciphertext {
  readonly id: string
  readonly key: string
  readonly algorithm: string
  readonly format: string
  readonly context: string | null
  readonly ciphertext: string
  readonly decrypts: boolean
  readonly plaintext?: string
}

const KNOWN = new Map(recordedKeys.map(({ name, key, algorithm }) => [`${algorithm} ${key}`, name]))
/** Keys that only recorded ciphertexts have; they are imported. */
const imported = new Map<string, string>()

function nameOf({ algorithm, key }: Ciphertext): string {
  const id = `${algorithm} ${key}`
  const known = KNOWN.get(id) ?? imported.get(id)
  if (known !== undefined) return known
  const name = `vector-${imported.size}`
  imported.set(id, name)
  return name
}

function decryptOf(row: Ciphertext): Request {
  const { ciphertext, context } = row
  const body = context === null ? { ciphertext } : { ciphertext, context }
  const fill = { plaintext: row.plaintext ?? '' }
  return { method: 'PUT', path: `/v1/key/decrypt/${nameOf(row)}`, body, fill }
}

function decrypting(file: string, isSame: (row: Ciphertext) => string): Case[] {
  const { rows } = readVectors<{ rows: Ciphertext[] }>(file)
  const groups = Object.entries(
    Object.groupBy(rows, (row) => `${row.decrypts ? 'decrypts' : 'is refused'}, ${isSame(row)}`),
  )
  return groups.map(([title, group = []]) => ({
    section: 'Recorded by the Go KES',
    title: `${file}: what ${title}`,
    shown: `PUT /v1/key/decrypt/…, ${group.length} rows, ${group[0]?.id} to ${group.at(-1)?.id}`,
    requests: group.map(decryptOf),
    expected: group[0]?.decrypts ? json('{"plaintext":"<plaintext>"}') : NOT_AUTHENTIC,
  }))
}

interface Large {
  readonly id: string
  readonly plaintext_byte: string
  readonly plaintext_length: number
  readonly request_body_length: number
  readonly key: string
  readonly algorithm: string
  readonly status: number
  readonly ciphertext_length?: number
}

const LARGE: Case[] = readVectors<{ rows: Large[] }>('large-ciphertexts.json').rows.map((row) => {
  const plaintext = Buffer.alloc(row.plaintext_length, Number.parseInt(row.plaintext_byte, 16))
  const name = KNOWN.get(`${row.algorithm} ${row.key}`)
  if (name === undefined) throw new Error(`${row.id} has a key that is not in ciphertexts.json`)
  return {
    section: 'Recorded by the Go KES',
    title: `large-ciphertexts.json: ${row.id}`,
    shown: `PUT /v1/key/encrypt/${name}, ${row.request_body_length} bytes`,
    requests: [
      {
        method: 'PUT',
        path: `/v1/key/encrypt/${name}`,
        body: `{"plaintext": "${plaintext.toString('base64')}"}`,
      },
    ],
    expected:
      row.status === 200
        ? json(`{"ciphertext":"<b64 ${row.ciphertext_length}>"}`)
        : error(400, 'invalid request body', 'InvalidBody'),
  }
})

interface Hmac {
  readonly id: string
  readonly key_name: string
  readonly message: string
  readonly hmac: string
}

const HMACS: Case[] = Object.entries(
  Object.groupBy(readVectors<{ rows: Hmac[] }>('hmac.json').rows, ({ key_name }) => key_name),
).map(([name, rows = []]) => ({
  section: 'Recorded by the Go KES',
  title: `hmac.json: HMACs of ${name}`,
  shown: `PUT /v1/key/hmac/${name}, ${rows.length} rows`,
  requests: rows.map(({ message, hmac }) => ({
    method: 'PUT',
    path: `/v1/key/hmac/${name}`,
    body: { message },
    fill: { hmac },
  })),
  expected: json('{"hmac":"<hmac>"}'),
}))

const CIPHERTEXTS = [
  ...decrypting('ciphertexts.json', ({ algorithm }) => algorithm),
  ...decrypting('legacy-ciphertexts.json', ({ format }) => format),
]

const IMPORTS = [...imported].map(([id, name]): Request => {
  const [cipher, key] = id.split(' ')
  return { method: 'PUT', path: `/v1/key/import/${name}`, body: { key, cipher } }
})

export const VECTOR_CASES: readonly Case[] = [
  ...CIPHERTEXTS.map((each, index) => (index === 0 ? { ...each, before: IMPORTS } : each)),
  ...LARGE,
  ...HMACS,
]
