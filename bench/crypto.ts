/** What does each step of a request cost? Calls the server's own modules, without network, in this process. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CipherKey } from '../packages/kes-server/src/keyring/ciphertext.ts'
import { HmacKey } from '../packages/kes-server/src/keyring/hmac-key.ts'
import { KeyRing } from '../packages/kes-server/src/keyring/key-ring.ts'
import { openJournal } from '../packages/kes-server/src/keyring/open-journal.ts'
import { parseIdentity, parseKeyName, parsePolicyName } from '../packages/kes-server/src/names.ts'
import { PolicySet } from '../packages/kes-server/src/policy/policy.ts'
import { Seal } from '../packages/kes-server/src/seal/seal.ts'
import type { Algorithm } from '../packages/kes-server/src/store/algorithm.ts'
import { SqliteStore } from '../packages/kes-server/src/store/sqlite-store.ts'
import { TemporaryFolder } from './cleanup.ts'
import type { Program } from './program.ts'
import type { Summary } from './statistics.ts'
import { microsPerCall } from './stopwatch.ts'
import { formatNumber, formatTable } from './table.ts'

const CONTEXT = Buffer.from('{"bucket/object":"bucket/object"}')
const DATA_KEY_BYTES = 32
/** So many that not each of them leads to the derived key of the one before. */
const CIPHERTEXTS = 64
const KEYS = 1000
const RULES = 50

const HELP = `npm run bench -- crypto [options]

What does each step of a request cost? Calls the server's modules in this process, without network, and prints
microseconds a call: the median of several batches after a warming up, and the least and the most of them.

  --json    one JSON line a step instead of a table
`

interface Step {
  readonly name: string
  readonly call: () => unknown
}

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { json: { type: 'boolean', default: false } },
  })
  using folder = new TemporaryFolder()
  const store = SqliteStore.open(join(folder.path, 'kes.db'))
  try {
    const steps = [
      ...cipherSteps('AES256'),
      ...cipherSteps('ChaCha20'),
      ...policySteps(),
      ...storeSteps(store),
    ]
    const results = steps.map(({ name, call }) => ({ name, micros: microsPerCall(call) }))
    process.stdout.write(values.json ? results.map(jsonLine).join('') : table(results))
  } finally {
    store.close()
  }
  return 0
}

interface Result {
  readonly name: string
  readonly micros: Summary
}

function jsonLine(result: Result): string {
  return `${JSON.stringify(result)}\n`
}

function table(results: readonly Result[]): string {
  const rows = results.map(({ name, micros }) => [
    name,
    formatNumber(micros.median),
    formatNumber(micros.min),
    formatNumber(micros.max),
  ])
  return formatTable(['step', 'µs a call', 'least', 'most'], rows)
}

function cipherSteps(algorithm: Algorithm): Step[] {
  const key = CipherKey.from(algorithm, randomBytes(32))
  const hmacKey = HmacKey.from(randomBytes(32))
  const dataKey = randomBytes(DATA_KEY_BYTES)
  const message = randomBytes(4096)
  const own = key.generate(CONTEXT).ciphertext
  const others = Array.from({ length: CIPHERTEXTS }, () => key.encrypt(dataKey, CONTEXT))
  const forged = Buffer.from(own)
  forged.writeUInt8(forged.readUInt8(0) ^ 1, 0)
  let next = 0
  const other = (): Buffer => {
    next = (next + 1) % CIPHERTEXTS
    return others[next] ?? own
  }
  return [
    { name: `${algorithm}: generate`, call: () => key.generate(CONTEXT) },
    { name: `${algorithm}: encrypt 32 bytes`, call: () => key.encrypt(dataKey, CONTEXT) },
    { name: `${algorithm}: encrypt 4096 bytes`, call: () => key.encrypt(message, CONTEXT) },
    { name: `${algorithm}: decrypt, iv as before`, call: () => key.decrypt(own, CONTEXT) },
    { name: `${algorithm}: decrypt, another iv each`, call: () => key.decrypt(other(), CONTEXT) },
    { name: `${algorithm}: decrypt, not authentic`, call: () => refused(() => key.decrypt(forged, CONTEXT)) },
    { name: `${algorithm}: hmac of 32 bytes`, call: () => hmacKey.mac(dataKey) },
  ]
}

function policySteps(): Step[] {
  const admin = '0'.repeat(64)
  const member = parseIdentity('1'.repeat(64))
  const rules = Array.from({ length: RULES }, (_, number) => `/v1/key/generate/app-${number}*`)
  const policies = new PolicySet({
    admin,
    policies: [
      {
        name: parsePolicyName('app'),
        allow: [...rules, '/v1/key/decrypt/app'],
        deny: ['/v1/key/delete/*'],
        identities: [member],
      },
    ],
  })
  const first = '/v1/key/generate/app-0-key'
  const last = `/v1/key/generate/app-${RULES - 1}-key`
  const decide = (path: string) => () => policies.authorize(member, path)
  return [
    { name: 'policy: admin', call: () => policies.authorize(parseIdentity(admin), first) },
    { name: 'policy: exact rule', call: decide('/v1/key/decrypt/app') },
    { name: `policy: first of ${RULES} prefixes`, call: decide(first) },
    { name: `policy: last of ${RULES} prefixes`, call: decide(last) },
    { name: 'policy: refused', call: () => refused(decide('/v1/key/create/other')) },
  ]
}

function storeSteps(store: SqliteStore): Step[] {
  const seal = Seal.create(store, { kind: 'key file', bytes: randomBytes(32) })
  const ring = new KeyRing(store, seal, openJournal(store, seal), { erasedNames: 'reserved' })
  const names = Array.from({ length: KEYS }, (_, number) => parseKeyName(`key-${number}`))
  store.transaction(() => {
    for (const name of names) ring.create(name, { identity: 'bench', ip: '' })
  })
  let next = 0
  const name = () => {
    next = (next + 1) % KEYS
    return names[next] ?? parseKeyName('key-0')
  }
  const row = store.read(name())
  if (row === undefined) throw new Error('the store has lost a key')
  return [
    { name: `store: read one of ${KEYS} keys`, call: () => store.read(name()) },
    { name: 'store: has anybody changed it?', call: () => store.foreignChanges() },
    { name: 'seal: MAC of a row', call: () => seal.isAuthentic(row) },
    { name: 'seal: unseal a key', call: () => seal.unsealKey(row) },
    { name: 'key ring: use of a kept key', call: () => ring.use(row.name) },
    {
      name: 'key ring: first use of a key',
      call: () => {
        ring.forgetAll()
        return ring.use(name())
      },
    },
  ]
}

/** @throws Error if the call is not refused. */
function refused(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('what must be refused was not')
}

export const cryptoProgram: Program = {
  question: 'What does each step of a request cost? Cryptography, policy, store and seal, without network.',
  help: HELP,
  run,
}
