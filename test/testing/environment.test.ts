/** What a sandbox gives to programs by their environment is enough for each of them. */
import { join } from 'node:path'
import { type Kms, KmsError, type KmsErrorReason, openKms } from '@latchkey/kms-client/kms'
import type { FaultOptions } from '@latchkey/kms-client/testing'
import { kesTest } from '@latchkey/kms-client/testing/vitest'
import { describe, expect } from 'vitest'
import { run } from '../peers/peer.ts'

const MAIN = join(import.meta.dirname, '../../packages/kes-server/src/main.js')
const QUICK = { retries: 0, timeoutMs: 5_000 }

const FAULTS: readonly FaultOptions[] = [
  { kind: 'refuse' },
  { kind: 'reset' },
  { kind: 'error', status: 403, body: { message: 'not authorized: insufficient permissions' } },
  { kind: 'error', status: 500 },
]

const test = kesTest({ keys: ['bucket-key'], erasedNames: 'reserved' })

function kmsOf(env: Readonly<Record<string, string>>): Kms {
  const kms = openKms(env, QUICK)
  if (kms === undefined) throw new Error('the environment names no KMS')
  return kms
}

async function reasonOf(call: Promise<unknown>): Promise<KmsErrorReason | 'none'> {
  try {
    await call
    return 'none'
  } catch (error) {
    if (error instanceof KmsError) return error.reason
    throw error
  }
}

describe('a storage server with the variables for MinIO', () => {
  test('has the first key as its default, by API key or by certificate', async ({ kes }) => {
    const { MINIO_KMS_KES_API_KEY: _, ...withoutApiKey } = kes.env
    const byCertificate = {
      ...withoutApiKey,
      MINIO_KMS_KES_CERT_FILE: kes.certPath,
      MINIO_KMS_KES_KEY_FILE: kes.keyPath,
    }
    for (const env of [kes.env, byCertificate]) {
      await using kms = kmsOf(env)
      await kms.start()
      expect(await kms.generateKey()).toMatchObject({ key: 'bucket-key' })
    }
  })

  test('can tell every trouble from the others', async ({ kes }) => {
    await using kms = kmsOf(kes.env)
    const { key, ciphertext } = await kms.generateKey()
    const reason = () => reasonOf(kms.decrypt({ key, ciphertext }))
    const reasons: string[] = [await reason()]

    await kes.lock('bucket-key')
    reasons.push(await reason())
    await kes.unlock('bucket-key')
    for (const options of FAULTS) {
      await using fault = await kes.faults.add(options)
      reasons.push(`${fault.kind}: ${await reason()}`)
    }
    await kes.erase('bucket-key')
    reasons.push(await reason())

    expect(reasons).toEqual([
      'none',
      'locked',
      'refuse: unreachable',
      'reset: unreachable',
      'error: not-allowed',
      'error: failed',
      'erased',
    ])
  })

  test('does not make its erased default key anew where names stay reserved', async ({ kes }) => {
    await using kms = kmsOf(kes.env)
    await kes.erase('bucket-key')

    expect(await reasonOf(kms.start())).toBe('erased')
  })
})

test('kes, the command line, finds the server', async ({ kes }) => {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, 'ls', '--json'], { env: kes.env })

  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '["bucket-key"]\n', stderr: '' })
})
