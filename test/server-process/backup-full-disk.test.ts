/** Backups where a disk fills up: the server's, the one of the file that is written, and the one that is restored to. */
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ApiKey } from '@latchkey/kms-client'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keyPairOf } from '../sandbox/certificates.ts'
import { SmallDisk } from '../sandbox/small-disk.ts'
import { Installation } from './installation.ts'
import { runKes, type ServerProcess } from './server-process.ts'

const MIB = 2 ** 20
const KEYS = 600

let disk: SmallDisk
let installation: Installation
let identityFile: string
let recipient: string

/** The server's disk and the small one take turns at being full. */
beforeAll(async () => {
  disk = new SmallDisk(48 * MIB)
  const keys = Array.from({ length: KEYS }, (_, number) => `key-${number}`)
  installation = await Installation.make({
    under: disk.folder,
    workers: 1,
    keys,
    audit: { stdout: 'off' },
  })
  const identity = await generateIdentity()
  identityFile = installation.write('identity', `${identity}\n`)
  recipient = await identityToRecipient(identity)
}, 60_000)

afterAll(() => {
  installation[Symbol.dispose]()
  disk[Symbol.dispose]()
})

function online(server: ServerProcess) {
  const env = {
    KES_SERVER: `https://127.0.0.1:${server.port}`,
    KES_API_KEY: ApiKey.fromPrivateKey(keyPairOf('admin').privateKey).toString(),
    KES_CA_PATH: installation.write('ca.crt', installation.ca),
  }
  return (...args: string[]) => runKes(args, { env })
}

/** The backups that wait to be fetched: files that are open and have no name any more. */
function spoolsOf({ pid }: ServerProcess): number {
  const folder = `/proc/${pid}/fd`
  const targets = readdirSync(folder).map((file) => {
    try {
      return readlinkSync(join(folder, file))
    } catch {
      return '' // Closed meanwhile.
    }
  })
  return targets.filter((target) => /\.backup-\S+ \(deleted\)$/.test(target)).length
}

async function untilReserved(): Promise<void> {
  const size = () => statSync(`${installation.storeFile}.reserve`, { throwIfNoEntry: false })?.size
  await expect.poll(size, { timeout: 10_000 }).toBe(8 * MIB)
}

test('a backup stops before it fills the disk of the server, which goes on as if nothing had been', async ({
  skip,
}) => {
  if (disk.problem !== undefined) skip(disk.problem)
  await using server = await installation.start()
  const kes = online(server)
  await untilReserved()
  const spools = spoolsOf(server)
  const storeBytes = statSync(installation.storeFile).size
  const target = `${installation.folder}/x.age`
  // No room from the start; and some, but not for all of it.
  for (const leftBytes of [4 * MIB, 16 * MIB + storeBytes + MIB / 16]) {
    const free = disk.fill(leftBytes)
    const failed = await kes('backup', 'create', '--recipient', recipient, target)
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^Error: failed to make a backup: too little space on the disk of the store\n/,
      ),
    })
    expect(existsSync(target)).toBe(false)
    expect(spoolsOf(server)).toBe(spools)
    expect((await server.request('PUT', `/v1/key/create/left-${leftBytes}`)).status).toBe(200)
    expect((await server.request('PUT', '/v1/key/generate/key-1')).status).toBe(200)
    free()
  }
  expect(server.stderr.includes('was given up')).toBe(false)
  const isTold = () => /\d+ MiB are free, and 16 MiB are kept free/.test(server.stderr)
  await expect.poll(isTold).toBe(true)
  const made = await kes('backup', 'create', '--recipient', recipient, target)
  expect(made).toMatchObject({ code: 0, stderr: '' })
  const journal = await kes('journal', 'export')
  const journalFile = installation.write('journal', journal.stdout)
  const publicKey = `${installation.storeFile}.journal.pub`
  expect(await runKes(['journal', 'verify', '--public-key', publicKey, journalFile])).toMatchObject({
    code: 0,
  })
  await server.stop()
}, 120_000)

test('a full disk where the file is to be leaves no file, and nothing on the disk of the server', async ({
  skip,
}) => {
  if (disk.problem !== undefined) skip(disk.problem)
  await using server = await installation.start()
  const kes = online(server)
  using small = new SmallDisk(MIB)
  for (const leftBytes of [0, 256 * 1024]) {
    const free = small.fill(leftBytes)
    const target = join(small.folder, 'x.age')
    const failed = await kes('backup', 'create', '--recipient', recipient, target)
    expect(failed).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`the file '${target}' can not be written: no space left on device`),
    })
    expect(readdirSync(small.folder)).toEqual(['filler'])
    expect(spoolsOf(server)).toBe(0)
    free()
  }
  await server.stop()
}, 120_000)

test('a restore that finds the disk full says so, leaves nothing, and the store that was there as it was', async ({
  skip,
}) => {
  if (disk.problem !== undefined) skip(disk.problem)
  const backup = `${installation.folder}/x.age`
  const args = ['backup', 'restore', '--config', installation.configFile, '--identity-file', identityFile]
  /** But for the lock, which holds the number of a process. */
  const files = () =>
    Object.entries(installation.digests()).filter(([name]) => !name.endsWith('keys.db.lock'))
  const before = files()
  let failures = 0
  for (let leftBytes = 0; ; leftBytes = leftBytes * 2 || 64 * 1024) {
    const free = disk.fill(leftBytes)
    const restored = await runKes([...args, '--replace', backup])
    free()
    if (restored.code === 0) break
    failures += 1
    expect(restored).toMatchObject({ code: 1, stderr: expect.stringMatching(/no space left|SQLITE_FULL/) })
    expect(restored.stderr, 'one line').toMatch(/^Error: .*\n$/)
    expect(files()).toEqual(before)
  }
  expect(failures).toBeGreaterThan(3)
  await using server = await installation.start()
  expect((await server.request('PUT', '/v1/key/enable/key-1')).status).toBe(200)
  expect((await server.request('PUT', '/v1/key/generate/key-1')).status).toBe(200)
  await server.stop()
}, 240_000)
