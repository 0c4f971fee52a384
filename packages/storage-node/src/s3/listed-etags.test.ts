import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Kms, KmsError, openKms } from '@latchkey/kms-client/kms'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { makeMemoryFolder } from '../../../../test/memory-folder.ts'
import { FileObjectStore } from '../disk/file-object-store.ts'
import { EtagSealer } from './listed-etags.ts'

let parent: string
let store: FileObjectStore
let kms: Kms

beforeEach(async () => {
  parent = makeMemoryFolder()
  store = await FileObjectStore.open(join(parent, 'data'))
  await store.createBucket('bucket')
  const opened = openKms({ MINIO_KMS_SECRET_KEY: `key:${randomBytes(32).toString('base64')}` })
  if (opened === undefined) throw new Error('the environment names a KMS')
  kms = opened
  await EtagSealer.open({ store, kms }, 'bucket')
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(parent, { recursive: true })
})

test('writes that come together open the listing key with one call, and a later one with its own', async () => {
  const decrypt = vi.spyOn(kms, 'decrypt')
  const open = () => EtagSealer.open({ store, kms }, 'bucket')
  const sealers = await Promise.all([open(), open(), open()])
  expect(decrypt).toHaveBeenCalledTimes(1)
  expect(sealers.map((sealer) => sealer?.seal('bucket', 'key', randomBytes(16)).sealed.length)).toEqual([
    44, 44, 44,
  ])
  await open()
  expect(decrypt).toHaveBeenCalledTimes(2)
})

test('a refused call is the answer to all that share it, and to none after it', async () => {
  const refusal = new KmsError('locked', 'decrypt', 'key')
  vi.spyOn(kms, 'decrypt').mockRejectedValueOnce(refusal)
  const open = () => EtagSealer.open({ store, kms }, 'bucket')
  const results = await Promise.allSettled([open(), open()])
  expect(results).toEqual([
    { status: 'rejected', reason: refusal },
    { status: 'rejected', reason: refusal },
  ])
  expect(await open()).toBeDefined()
})
