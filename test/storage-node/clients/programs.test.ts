/** S3 clients that others wrote, in other languages: boto3 and minio for Python, rclone, s3cmd. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { peerTest, run } from '../../peers/peer.ts'
import { authorityOf } from '../../sandbox/certificates.ts'
import {
  CREDENTIALS,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from '../node-under-test.ts'
import { pythonWith } from './python.ts'

const CUSTOMER_KEY = 'k'.repeat(32)

let keys: KeyServerUnderTest
let node: NodeUnderTest
let folder: string
let caPath: string
/** 100 MiB, for one kind of encryption each. */
let largeFile: string
/** 20 MiB, for the others. */
let file: string

beforeAll(async () => {
  keys = await startKeyServer()
  node = await startNodeUnderTest({ env: keys.env })
  folder = mkdtempSync(join(tmpdir(), 'latchkey-clients-'))
  caPath = join(folder, 'ca.crt')
  writeFileSync(caPath, (await authorityOf('servers')).certificate.toString())
  largeFile = join(folder, 'large.bin')
  writeFileSync(largeFile, Buffer.concat(Array(100).fill(randomBytes(1024 * 1024))))
  file = join(folder, 'file.bin')
  writeFileSync(file, randomBytes(20 * 1024 * 1024))
})
afterAll(async () => {
  await node[Symbol.asyncDispose]()
  await keys[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

describe.each(['boto3', 'minio'])('%s for Python', (module) => {
  test('does what a user of it would', { timeout: 120_000 }, async ({ skip }) => {
    const python = pythonWith(module)
    if (python === undefined) {
      if (process.env.CI) throw new Error(`no Python on this machine has the module ${module}`)
      return skip(`no Python on this machine has the module ${module}`)
    }
    const script = fileURLToPath(new URL(`${module}_client.py`, import.meta.url))
    const { stdout, stderr } = await run(python, [script], {
      timeoutMs: 110_000,
      env: {
        HOME: folder,
        NODE_URL: node.node.url,
        NODE_CA: caPath,
        NODE_KEY: TENANT_KEY,
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKey,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
      },
    })
    expect({ stdout, stderr }).toMatchObject({ stdout: 'OK\n' })
  })
})

/** Runs a client program, and expects it to end well. @returns what it printed. */
async function succeed(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, {
    env: { HOME: folder, ...env },
    timeoutMs: 60_000,
  })
  expect({ args, code, stderr: code === 0 ? '' : stderr }).toEqual({ args, code: 0, stderr: '' })
  return stdout
}

describe('rclone', () => {
  const env = () => ({
    RCLONE_CONFIG: join(folder, 'rclone.conf'),
    RCLONE_CA_CERT: caPath,
    RCLONE_CONFIG_NODE_TYPE: 's3',
    RCLONE_CONFIG_NODE_PROVIDER: 'Minio',
    RCLONE_CONFIG_NODE_ENDPOINT: node.node.url,
    RCLONE_CONFIG_NODE_REGION: 'us-east-1',
    RCLONE_CONFIG_NODE_ACCESS_KEY_ID: CREDENTIALS.accessKey,
    RCLONE_CONFIG_NODE_SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
  })
  const parts = ['--s3-upload-cutoff', '5Mi', '--s3-chunk-size', '16Mi']
  const kinds: readonly (readonly [string, readonly string[]])[] = [
    ['none', []],
    ['s3', ['--s3-server-side-encryption', 'AES256']],
    ['kms', ['--s3-server-side-encryption', 'aws:kms', '--s3-sse-kms-key-id', TENANT_KEY]],
    ['c', ['--s3-sse-customer-algorithm', 'AES256', '--s3-sse-customer-key', CUSTOMER_KEY]],
  ]

  peerTest(
    'rclone',
    'copies files up and down in every kind, lists, compares and removes them',
    async () => {
      await succeed('rclone', ['mkdir', 'node:rclone-bucket'], env())
      for (const [name, flags] of kinds) {
        const source = name === 'kms' ? largeFile : file
        const target = `node:rclone-bucket/${name}/file.bin`
        await succeed('rclone', ['copyto', source, target, ...parts, ...flags], env())
        const back = join(folder, `rclone-${name}.bin`)
        await succeed('rclone', ['copyto', target, back, ...flags], env())
        expect(readFileSync(back).equals(readFileSync(source))).toBe(true)
      }
      const listed = await succeed('rclone', ['lsf', '-R', 'node:rclone-bucket'], env())
      expect(listed.trim().split('\n')).toContain('kms/file.bin')
      const range = ['cat', '--offset', '65530', '--count', '20', 'node:rclone-bucket/s3/file.bin']
      const bytes = await succeed('rclone', [...range], env())
      expect(bytes.length).toBeGreaterThan(0)
      await succeed(
        'rclone',
        ['copyto', 'node:rclone-bucket/s3/file.bin', 'node:rclone-bucket/copied.bin'],
        env(),
      )
      await succeed(
        'rclone',
        ['check', '--download', folder, 'node:rclone-bucket/s3', '--include', 'file.bin'],
        env(),
      )
      const missing = await run('rclone', ['lsf', 'node:no-such-bucket'], { env: { HOME: folder, ...env() } })
      expect(missing.code).not.toBe(0)
      await succeed('rclone', ['purge', 'node:rclone-bucket'], env())
    },
    180_000,
  )
})

describe('s3cmd', () => {
  peerTest(
    's3cmd',
    'puts, gets, copies, lists, signs and removes objects',
    async () => {
      const { host } = new URL(node.node.url)
      const config = join(folder, 's3cmd.cfg')
      writeFileSync(
        config,
        [
          '[default]',
          `access_key = ${CREDENTIALS.accessKey}`,
          `secret_key = ${CREDENTIALS.secretKey}`,
          `host_base = ${host}`,
          `host_bucket = ${host}`,
          'bucket_location = us-east-1',
          'use_https = True',
          `ca_certs_file = ${caPath}`,
          'signature_v2 = False',
          'multipart_chunk_size_mb = 15',
        ].join('\n'),
        { mode: 0o600 },
      )
      const s3cmd = (...args: string[]) => succeed('s3cmd', ['-c', config, ...args], {})
      await s3cmd('mb', 's3://s3cmd-bucket')
      for (const [name, flags] of [
        ['none', []],
        ['s3', ['--server-side-encryption']],
        ['kms', ['--server-side-encryption', `--server-side-encryption-kms-id=${TENANT_KEY}`]],
      ] as const) {
        const source = name === 'kms' ? largeFile : file
        await s3cmd('put', source, `s3://s3cmd-bucket/${name}`, ...flags)
        const back = join(folder, `s3cmd-${name}.bin`)
        await s3cmd('get', `s3://s3cmd-bucket/${name}`, back)
        expect(readFileSync(back).equals(readFileSync(source))).toBe(true)
      }
      await s3cmd('cp', 's3://s3cmd-bucket/kms', 's3://s3cmd-bucket/copy')
      const listed = await s3cmd('ls', 's3://s3cmd-bucket')
      expect(listed.match(/s3:\/\/s3cmd-bucket\/\w+/g)).toEqual(
        ['copy', 'kms', 'none', 's3'].map((name) => `s3://s3cmd-bucket/${name}`),
      )
      expect(await s3cmd('info', 's3://s3cmd-bucket/kms')).toContain('SSE:       aws:kms')
      const missing = await run('s3cmd', ['-c', config, 'info', 's3://s3cmd-bucket/nothing'], {
        env: { HOME: folder },
      })
      expect(missing).toMatchObject({ stderr: expect.stringContaining('404') })
      await s3cmd('del', '--recursive', '--force', 's3://s3cmd-bucket')
      await s3cmd('rb', 's3://s3cmd-bucket')
    },
    120_000,
  )
})
