/** The node as a process: how it starts, waits, refuses, restarts, stops, and what a kill leaves. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readMinioVectors } from '../minio-vectors.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { startNodeProcess } from './node-process.ts'
import {
  CREDENTIALS,
  DEFAULT_KEY,
  type KeyServerUnderTest,
  startKeyServer,
  TENANT_KEY,
} from './node-under-test.ts'
import { plainNode } from './plain-node.ts'

const ROOT = {
  MINIO_ROOT_USER: CREDENTIALS.accessKey,
  MINIO_ROOT_PASSWORD: CREDENTIALS.secretKey,
}
const ADDRESS = ['--address', '127.0.0.1:0']
const SSE = 'x-amz-server-side-encryption'

let folder: string
let count = 0
/** A new data folder. */
const dataFolder = () => {
  count += 1
  return join(folder, `data-${count}`)
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-process-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface StartCase {
  readonly id: string
  readonly env: Readonly<Record<string, string>>
  readonly exitCode: number | null
  readonly fatal: string | null
}

describe('the environment, as MinIO was started with it', () => {
  let keys: KeyServerUnderTest
  let files: Readonly<Record<string, string>>
  beforeAll(async () => {
    keys = await startKeyServer()
    const client = await clientOf('node process')
    const [cert, key] = [join(folder, 'client.crt'), join(folder, 'client.key')]
    writeFileSync(cert, client.cert)
    writeFileSync(key, client.key)
    files = {
      '<kes-url>': keys.server.url,
      '<client.crt>': cert,
      '<client.key>': key,
      '<ca.crt>': keys.env.MINIO_KMS_KES_CAPATH ?? '',
      '<host:port without scheme>': new URL(keys.server.url).host,
      '<existing file>': cert,
    }
  })
  afterAll(() => keys[Symbol.asyncDispose]())

  /** Said otherwise: how a connection failed, and what is wrong with a URL, in the words of Go's libraries. */
  const comparable = (text: string) =>
    text
      .replace(/failed to generate data key with KMS key: (?:parse|Post) .*/, 'failed to generate data key')
      .replace(/failed to generate data key with KMS key: https:\/\/.*/, 'failed to generate data key')
      .replace(/kms: invalid endpoint '127\.0\.0\.1.*/, 'failed to generate data key')
      .replace(/open (\S+): no such file or directory/, 'open $1')
      .replace(/ENOENT: no such file or directory, open '(\S+)'/, 'open $1')

  test.each(readMinioVectors<StartCase>('startup-env.json'))('$id', async ({ env, exitCode, fatal }) => {
    const filled = Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, files[value] ?? value]),
    )
    await using node = startNodeProcess([dataFolder(), ...ADDRESS, '--exit-without-kms'], {
      ...ROOT,
      ...filled,
    })
    if (exitCode === null) {
      expect(await node.ready, node.stderr()).toBeDefined()
      return
    }
    expect(await node.ended).toBe(exitCode)
    const last = node.stderr().trim().split('\n').at(-1) ?? ''
    const expected = Object.entries(files).reduce(
      (text, [name, value]) => text.replace(name, value),
      fatal ?? '',
    )
    expect(comparable(last)).toBe(comparable(expected))
    expect(node.stderr()).not.toContain('    at ')
  })
})

describe('with a key server', () => {
  let keys: KeyServerUnderTest
  beforeAll(async () => {
    keys = await startKeyServer()
  })
  afterAll(() => keys[Symbol.asyncDispose]())
  const env = () => ({ ...ROOT, ...keys.env })

  test('that does not answer yet, the node waits, says so, and can be stopped', async () => {
    await using node = startNodeProcess([dataFolder(), ...ADDRESS], {
      ...env(),
      MINIO_KMS_KES_ENDPOINT: 'https://127.0.0.1:9',
    })
    await expect.poll(node.stderr, { timeout: 30_000 }).toContain('waiting for the key server')
    node.kill('SIGTERM')
    expect(await node.ended).toBe(0)
  })

  test.each([
    ['disabled', 'is locked: enable it'],
    ['erased', 'does not exist at the key server'],
  ])(
    'whose default key is %s, a node with data does not start, and says which and why',
    async (state, text) => {
      const key = `start-${state}`
      const data = dataFolder()
      {
        await using first = startNodeProcess([data, ...ADDRESS], { ...env(), MINIO_KMS_KES_KEY_NAME: key })
        expect(await first.ready, first.stderr()).toBeDefined()
        first.kill('SIGTERM')
        expect(await first.ended).toBe(0)
      }
      if (state === 'disabled') await keys.client.disableKey(key)
      else await keys.client.deleteKey(key)
      await using second = startNodeProcess([data, ...ADDRESS], { ...env(), MINIO_KMS_KES_KEY_NAME: key })
      expect(await second.ended).toBe(1)
      expect(second.stderr()).toContain(`'${key}'`)
      expect(second.stderr()).toContain(text)
      const names: string[] = []
      for await (const name of keys.client.listKeys(key)) names.push(name)
      expect(names).toEqual(state === 'disabled' ? [key] : [])
    },
  )

  test('a node that was encrypted once does not start without a KMS', async () => {
    const data = dataFolder()
    {
      await using first = startNodeProcess([data, ...ADDRESS], env())
      expect(await first.ready).toBeDefined()
    }
    await using second = startNodeProcess([data, ...ADDRESS], ROOT)
    expect(await second.ended).toBe(1)
    expect(second.stderr()).toContain(`encrypted under the key '${DEFAULT_KEY}', and no KMS is configured`)
  })

  test('restart and stop, as mc asks for them, serve the same data on the same port', async () => {
    await using node = startNodeProcess([dataFolder(), ...ADDRESS], env())
    const { url } = (await node.ready) ?? { url: '' }
    const s3 = plainNode(url)
    await s3.ask('PUT', '/bucket')
    await s3.ask('PUT', '/bucket/object', { headers: { [SSE]: 'AES256' }, body: 'content' })
    const restarted = await s3.ask('POST', '/minio/admin/v3/service?action=restart&dry-run=false&type=2', {
      region: '',
    })
    const host = new URL(url).host
    expect(JSON.parse(restarted.body.toString())).toEqual({
      action: 'restart',
      dryRun: false,
      results: [{ host }],
    })
    await expect.poll(() => node.stdout().trim().split('\n').length, { timeout: 10_000 }).toBe(2)
    expect((await s3.ask('GET', '/bucket/object')).body.toString()).toBe('content')
    const info = await s3.ask('GET', '/minio/admin/v3/info', { region: '' })
    expect(JSON.parse(info.body.toString())).toMatchObject({ mode: 'online', objects: { count: 1 } })
    await s3.ask('POST', '/minio/admin/v3/service?action=stop', { region: '' })
    expect(await node.ended).toBe(0)
  })

  test('a second node over the same data is refused', async () => {
    const data = dataFolder()
    await using first = startNodeProcess([data, ...ADDRESS], env())
    expect(await first.ready).toBeDefined()
    await using second = startNodeProcess([data, ...ADDRESS], env())
    expect(await second.ended).toBe(1)
    expect(second.stderr()).toContain('is in use by another process')
  })

  test('a folder that is no data folder is refused, and left as it was', async () => {
    const other = dataFolder()
    mkdirSync(other)
    writeFileSync(join(other, 'letter.txt'), 'mine')
    await using node = startNodeProcess([other, ...ADDRESS], env())
    expect(await node.ended).toBe(1)
    expect(node.stderr()).toContain('letter.txt')
  })
})

describe('kills', () => {
  const KILLS = Number(process.env.NODE_KILLS ?? 100)

  test(`${KILLS} at random instants lose nothing that was answered, and show nothing that was not`, {
    timeout: 600_000,
  }, async () => {
    await using keys = await startKeyServer()
    const data = dataFolder()
    const model = new Map<string, string | undefined>()
    /** What was under way at a kill may be done or not. */
    const doubtful = new Map<string, (string | undefined)[]>()
    const env = { ...ROOT, ...keys.env }
    for (let kill = 0; kill < KILLS; kill += 1) {
      await using node = startNodeProcess([data, ...ADDRESS], env)
      const { url } = (await node.ready) ?? { url: '' }
      expect(url, node.stderr()).not.toBe('')
      const s3 = plainNode(url)
      await s3.ask('PUT', '/bucket')
      await compare(s3, model, doubtful)
      const timer = setTimeout(() => node.kill('SIGKILL'), Math.random() * 200)
      await Promise.all([0, 1, 2].map((worker) => work(s3, worker, model, doubtful)))
      clearTimeout(timer)
      await node.ended
    }
    expect(model.size).toBeGreaterThan(0)
  })
})

type S3 = ReturnType<typeof plainNode>

const KINDS = [{}, { [SSE]: 'AES256' }, { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: TENANT_KEY }]
const digestOf = (body: Buffer) => createHash('sha256').update(body).digest('hex')

/** Puts, deletes and uploads in parts, each worker on keys of its own, until the node is gone. */
async function work(
  s3: S3,
  worker: number,
  model: Map<string, string | undefined>,
  doubtful: Map<string, (string | undefined)[]>,
): Promise<void> {
  for (let step = 0; ; step += 1) {
    const key = `/bucket/${worker}-${Math.floor(Math.random() * 5)}`
    const body = randomBytes(Math.floor(Math.random() * 150_000))
    const isDelete = Math.random() < 0.25
    const after = isDelete ? undefined : digestOf(body)
    doubtful.set(key, [model.get(key), after])
    try {
      if (isDelete) expect((await s3.ask('DELETE', key)).status).toBe(204)
      else if (step % 4 === 3) await putInParts(s3, key, body, KINDS[step % KINDS.length] ?? {})
      else {
        const put = await s3.ask('PUT', key, { headers: KINDS[step % KINDS.length] ?? {}, body })
        expect(put.status).toBe(200)
      }
    } catch (error) {
      if (error instanceof Error && 'code' in error) return // The connection broke: the node was killed.
      throw error
    }
    model.set(key, after)
    doubtful.delete(key)
  }
}

async function putInParts(s3: S3, key: string, body: Buffer, headers: Readonly<Record<string, string>>) {
  const created = await s3.ask('POST', `${key}?uploads`, { headers })
  const id = /<UploadId>(.*?)<\/UploadId>/.exec(created.body.toString())?.[1]
  const part = await s3.ask('PUT', `${key}?partNumber=1&uploadId=${id}`, { body })
  const etag = part.headers.etag
  const completed = await s3.ask('POST', `${key}?uploadId=${id}`, {
    body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`,
  })
  expect(completed.status, completed.body.toString()).toBe(200)
}

async function compare(
  s3: S3,
  model: Map<string, string | undefined>,
  doubtful: Map<string, (string | undefined)[]>,
): Promise<void> {
  for (const key of new Set([...model.keys(), ...doubtful.keys()])) {
    const { status, body } = await s3.ask('GET', key)
    expect([200, 404]).toContain(status)
    const found = status === 200 ? digestOf(body) : undefined
    const allowed = doubtful.get(key) ?? [model.get(key)]
    expect(allowed, key).toContain(found)
    model.set(key, found)
  }
  doubtful.clear()
  const listing = await s3.ask('GET', '/bucket?list-type=2')
  const listed = [...listing.body.toString().matchAll(/<Key>(.*?)<\/Key>/g)].map(
    (match) => `/bucket/${match[1]}`,
  )
  const expected = [...model].filter(([, digest]) => digest !== undefined).map(([key]) => key)
  expect(listed.toSorted()).toEqual(expected.toSorted())
}
