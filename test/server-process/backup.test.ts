// Backups as an operator makes, checks and restores them: with `kes`, against running servers and killed commands.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ApiKey } from '@latchkey/kms-client'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { expect, test } from 'vitest'
import { keyPairOf } from '../sandbox/certificates.ts'
import { Installation } from './installation.ts'
import { runKes, type ServerProcess } from './server-process.ts'

/** More with `BACKUP_KILLS=200`. */
const KILLS = Number(process.env.BACKUP_KILLS ?? 4)

const names = (count: number) => Array.from({ length: count }, (_, number) => `key-${number}`)

/** `kes` with the admin's API key, through the server. */
function online(installation: Installation, server: ServerProcess) {
  const env = {
    KES_SERVER: `https://127.0.0.1:${server.port}`,
    KES_API_KEY: ApiKey.fromPrivateKey(keyPairOf('admin').privateKey).toString(),
    KES_CA_PATH: installation.write('ca.crt', installation.ca),
  }
  return (...args: string[]) => runKes(args, { env })
}

async function identityIn(installation: Installation) {
  const identity = await generateIdentity()
  const file = installation.write('identity', `# made for a test\n${identity}\n`)
  return { file, recipient: await identityToRecipient(identity) }
}

async function statesOf(server: ServerProcess): Promise<Record<string, string>> {
  const { rawBody } = await server.request('GET', '/v1/key/list/?details=true')
  const { keys }: { keys: { name: string; state: string }[] } = JSON.parse(rawBody.toString())
  return Object.fromEntries(keys.map(({ name, state }) => [name, state]))
}

test('a backup of a running server is made, verified, and restored with the journal of what came after', async () => {
  using installation = await Installation.make({ keys: ['a', 'b', 'c'] })
  const { file: identity, recipient } = await identityIn(installation)
  const backup = `${installation.folder}/backup.age`
  const journal = `${installation.folder}/journal`
  const publicKey = `${installation.storeFile}.journal.pub`
  await using server = await installation.start()
  const kes = online(installation, server)

  const made = await kes('backup', 'create', '--recipient', recipient, backup)
  expect(made).toMatchObject({ code: 0, stderr: '' })
  expect(made.stdout).toMatch(
    /^Backup [0-9a-f]{32} of 3 keys was written to '.*'\.\nIts journal ends with \d+:[0-9a-f]{64}\n$/,
  )
  const again = await kes('backup', 'create', '--recipient', recipient, backup)
  expect(again).toMatchObject({ code: 1, stderr: `Error: the file '${backup}' exists already\n` })
  const nobody = await kes('backup', 'create', '--recipient', 'age1nobody', `${backup}2`)
  expect(nobody).toMatchObject({
    code: 1,
    stderr: "Error: 'age1nobody' is no age recipient, such as age1…\n",
  })

  const verified = await runKes([
    'backup',
    'verify',
    '--identity-file',
    identity,
    '--config',
    installation.configFile,
    '--public-key',
    publicKey,
    '--json',
    backup,
  ])
  expect(JSON.parse(verified.stdout)).toMatchObject({
    verified: true,
    keys: 3,
    keys_unsealed: true,
    journal_verified: true,
  })

  await server.request('PUT', '/v1/key/disable/b')
  const receipt = await server.request('DELETE', '/v1/key/delete/c?receipt=true')
  expect(JSON.parse(receipt.rawBody.toString()).not_covered.join()).toContain('backup')
  await server.request('PUT', '/v1/key/create/late')
  writeFileSync(journal, (await kes('journal', 'export')).stdout)

  const restoring = [
    'backup',
    'restore',
    '--config',
    installation.configFile,
    '--identity-file',
    identity,
    '--journal',
    journal,
    '--public-key',
    publicKey,
  ]
  const running = await runKes([...restoring, backup])
  expect(running.code).toBe(1)
  expect(running.stderr).toContain(`in use by another server (pid ${server.pid}`)
  await server.stop()
  const taken = await runKes([...restoring, backup])
  expect(taken.stderr).toMatch(/^Error: there is a store at/)

  const restored = await runKes([...restoring, '--replace', '--json', backup])
  expect(restored).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(restored.stdout)).toMatchObject({
    keys: 2,
    disabled: 0,
    erased: 1,
    revived: [],
    lost: ['late'],
  })
  await using next = await installation.start()
  expect(await statesOf(next)).toEqual({ a: 'enabled', b: 'disabled' })
  expect((await next.request('PUT', '/v1/key/generate/a')).status).toBe(200)
  const after = online(installation, next)
  writeFileSync(journal, (await after('journal', 'export')).stdout)
  expect(await runKes(['journal', 'verify', '--public-key', publicKey, journal])).toMatchObject({ code: 0 })
  await next.stop()
})

test('an offline backup by a passphrase is restored to an empty place, with every key disabled', {
  timeout: 60_000,
}, async () => {
  using installation = await Installation.make({ keys: ['a'] })
  using elsewhere = installation.copy()
  await using server = await installation.start()
  await server.stop()
  const backup = `${installation.folder}/backup.age`
  const passphrase = installation.write('passphrase', 'correct horse battery\n')
  const made = await runKes([
    'backup',
    'create',
    '--config',
    installation.configFile,
    '--passphrase-file',
    passphrase,
    backup,
  ])
  expect(made).toMatchObject({ code: 0, stderr: '' })

  const wrong = installation.write('wrong', 'battery horse correct\n')
  const broken = await runKes(['backup', 'verify', '--passphrase-file', wrong, '--json', backup])
  expect(broken.code).toBe(1)
  expect(JSON.parse(broken.stdout)).toMatchObject({
    verified: false,
    problem: expect.stringContaining('passphrase'),
  })

  const restored = await runKes([
    'backup',
    'restore',
    '--config',
    elsewhere.configFile,
    '--passphrase-file',
    passphrase,
    backup,
  ])
  expect(restored).toMatchObject({ code: 0, stderr: '' })
  expect(restored.stdout).toContain(
    '1 keys were disabled: without --journal nobody knows what has happened since.',
  )
  await using next = await elsewhere.start()
  expect(await statesOf(next)).toEqual({ a: 'disabled' })
  await next.stop()
})

test('whenever a restore is killed, there is no store, or the whole one', {
  timeout: 60_000 + KILLS * 20_000,
}, async () => {
  const keys = names(400)
  using installation = await Installation.make({ keys })
  const { file: identity, recipient } = await identityIn(installation)
  await using server = await installation.start()
  await server.stop()
  const backup = `${installation.folder}/backup.age`
  await runKes(['backup', 'create', '--config', installation.configFile, '--recipient', recipient, backup])
  const restore = (killAfterMs?: number) =>
    runKes(
      [
        'backup',
        'restore',
        '--replace',
        '--config',
        installation.configFile,
        '--identity-file',
        identity,
        backup,
      ],
      killAfterMs === undefined ? {} : { killAfterMs },
    )
  const startedMs = performance.now()
  expect(await restore()).toMatchObject({ code: 0 })
  const wholeMs = performance.now() - startedMs
  let killed = 0
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = readFileSync(installation.storeFile)
    const { signal } = await restore(wholeMs * (0.3 + (0.8 * (kill + Math.random())) / KILLS))
    if (signal === 'SIGKILL') killed += 1
    if (readFileSync(installation.storeFile).equals(before)) continue
    await using next = await installation.start()
    expect(Object.keys(await statesOf(next))).toHaveLength(keys.length)
    await next.stop()
  }
  expect(killed).toBeGreaterThan(0)
  expect(await restore()).toMatchObject({ code: 0 })
  const left = readdirSync(dirname(installation.storeFile)).filter((name) => name.includes('restoring'))
  expect(left).toEqual([])
})

test('a backup whose making is killed is not there, and the server goes on', {
  timeout: 60_000,
}, async () => {
  using installation = await Installation.make({ keys: names(300) })
  const { file: identity, recipient } = await identityIn(installation)
  await using server = await installation.start()
  const backup = `${installation.folder}/backup.age`
  const env = {
    KES_SERVER: `https://127.0.0.1:${server.port}`,
    KES_API_KEY: ApiKey.fromPrivateKey(keyPairOf('admin').privateKey).toString(),
    KES_CA_PATH: installation.write('ca.crt', installation.ca),
  }
  for (const killAfterMs of [150, 250, 350]) {
    const { signal } = await runKes(['backup', 'create', '--recipient', recipient, backup], {
      env,
      killAfterMs,
    })
    if (signal !== 'SIGKILL') break
    if (!existsSync(backup)) continue
    // It was killed when the backup was whole.
    expect((await runKes(['backup', 'verify', '--identity-file', identity, backup])).code).toBe(0)
    break
  }
  expect((await server.request('DELETE', '/v1/key/delete/key-0')).status).toBe(200)
  await server.stop()
})
