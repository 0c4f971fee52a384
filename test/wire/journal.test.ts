/** The journal and its receipts, from a server to `kes journal verify` and `kes receipt verify`. */
import { createPublicKey } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KesClient, KeyNotFoundError } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatHead, JournalVerifier } from '../../packages/kes-server/src/journal/verify.ts'
import { FakeKes, runKes } from '../kes-cli/harness.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectEmpty, expectError, jsonOf, NOT_ALLOWED, textOf } from './replies.ts'

interface Page {
  readonly entries: readonly Record<string, unknown>[]
  readonly continue_at?: number
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string) => join(folder, name)
const put = (server: TestServer, path: string) => server.request('PUT', `/v1/key/${path}`)

/** What `kes journal export` prints. */
async function exportJournal(server: TestServer): Promise<string> {
  const { entries } = jsonOf<Page>(await server.request('GET', '/v1/journal/entries'))
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')
}

async function headOf(server: TestServer): Promise<string> {
  const { number, hash } = jsonOf<Record<string, string>>(await server.request('GET', '/v1/journal/head'))
  return `${number}:${hash}`
}

describe('over the wire', () => {
  test('delete answers nothing as in KES, and its receipt only where that is asked for', async () => {
    await using server = await startTestServer({ keys: ['a', 'b'] })
    expectEmpty(await server.request('DELETE', '/v1/key/delete/a'))
    const receipt = jsonOf(await server.request('DELETE', '/v1/key/delete/b?receipt=true'))
    expect(receipt).toMatchObject({ name: 'b', erased_by: server.admin.identity })
    expectError(
      await server.request('DELETE', '/v1/key/delete/b?receipt=true'),
      404,
      'key does not exist',
      'KeyNotFound',
    )
  })

  test('the receipt of the last erasure is given again, also when the name has a new key, and is the same', async () => {
    await using server = await startTestServer({ keys: ['a'] })
    const path = '/v1/key/history/a?receipt=true'
    expectError(await server.request('GET', path), 404, 'key does not exist', 'KeyNotFound')
    await server.request('DELETE', '/v1/key/delete/a')
    expect(jsonOf(await server.request('GET', path))).toMatchObject({
      format: 'latchkey receipt v1',
      name: 'a',
      journal: { action: 'erase', identity: server.admin.identity },
    })
    await put(server, 'create/a?reuse=true')
    const second = jsonOf(await server.request('DELETE', '/v1/key/delete/a?receipt=true'))
    await put(server, 'create/a?reuse=true')
    for (let round = 0; round < 30; round += 1) {
      await put(server, 'disable/a')
      await put(server, 'enable/a')
    }
    expect(jsonOf(await server.request('GET', path))).toEqual(second)
    expect((await server.request('GET', '/v1/key/history/a?receipt=maybe')).status).toBe(400)
  })

  test('a history names every change, also of an erased key, with identity and address', async () => {
    await using server = await startTestServer()
    for (const step of ['create/a', 'disable/a', 'enable/a']) await put(server, step)
    await server.request('DELETE', '/v1/key/delete/a')
    const { entries, continue_at } = jsonOf<Page>(await server.request('GET', '/v1/key/history/a'))
    expect(entries.map(({ action }) => action)).toEqual(['create', 'disable', 'enable', 'erase'])
    for (const entry of entries) {
      expect(entry).toMatchObject({ name: 'a', identity: server.admin.identity, ip: '127.0.0.1' })
    }
    expect(continue_at).toBeUndefined()
  })

  test('a history of more than a page goes on behind its last entry', async () => {
    await using server = await startTestServer({ keys: ['a'] })
    for (let round = 0; round < 50; round += 1) {
      await put(server, 'disable/a')
      await put(server, 'enable/a')
    }
    const first = jsonOf<Page>(await server.request('GET', '/v1/key/history/a'))
    expect(first.entries).toHaveLength(100)
    const rest = jsonOf<Page>(await server.request('GET', `/v1/key/history/a?after=${first.continue_at}`))
    expect(rest.entries.map(({ revision }) => revision)).toEqual([101])
  })

  test('no key, a bad name and a bad page are refused', async () => {
    await using server = await startTestServer()
    expectError(await server.request('GET', '/v1/key/history/none'), 404, 'key does not exist', 'KeyNotFound')
    expect((await server.request('GET', '/v1/key/history/a..')).status).toBe(400)
    for (const after of ['-1', 'x', '1.5', '', '1'.repeat(16)]) {
      const { status } = await server.request('GET', `/v1/journal/entries?after=${after}`)
      expect(status).toBe(400)
    }
  })

  test('history and journal are for those whom a policy allows', async () => {
    const as = await clientOf('historian')
    const policy = { allow: ['/v1/key/history/mine*'], identities: [as.identity] }
    await using server = await startTestServer({ keys: ['mine', 'other'], policies: { some: policy } })
    expect((await server.request('GET', '/v1/key/history/mine', { as })).status).toBe(200)
    for (const path of ['/v1/key/history/other', '/v1/journal/head', '/v1/journal/entries']) {
      expectError(await server.request('GET', path, { as }), 403, NOT_ALLOWED, 'NotAllowed')
    }
  })
})

test('the client reads histories, the journal, its head and receipts, page by page', async () => {
  await using server = await startTestServer({ keys: ['a'] })
  const { cert, key } = server.admin
  await using client = new KesClient({
    endpoint: server.url,
    certificate: { cert, key },
    insecureSkipVerify: true,
  })
  for (let round = 0; round < 60; round += 1) {
    await client.disableKey('a')
    await client.enableKey('a')
  }
  const receipt = await client.deleteKeyWithReceipt('a')
  expect(JSON.parse(receipt.document)).toMatchObject({ name: 'a', fingerprint: receipt.fingerprint })
  const history = await Array.fromAsync(client.keyHistory('a'))
  expect(history.map(({ revision }) => revision)).toEqual(
    Array.from({ length: 122 }, (_, index) => index + 1),
  )
  expect(history.at(-1)).toMatchObject({
    action: 'erase',
    algorithm: 'AES256',
    fingerprint: receipt.fingerprint,
  })

  const head = await client.journalHead()
  const verifier = new JournalVerifier(createPublicKey(head.publicKey))
  for await (const { entry, ...filed } of client.journalEntries())
    verifier.nextFiled({ bytes: entry, ...filed })
  expect(formatHead(verifier.end())).toBe(`${head.number}:${head.hash}`)
  await expect(client.keyHistory('none')[Symbol.asyncIterator]().next()).rejects.toThrow(KeyNotFoundError)
})

describe('without a server', () => {
  /** A store with some history. @returns the command line's arguments for verifying it. */
  async function someJournal() {
    using prepared = prepareStore([{ name: 'old' }])
    await using server = await startTestServer({ keystore: prepared.keystore })
    await put(server, 'create/a')
    await put(server, 'disable/*')
    const early = await headOf(server)
    const earlyExport = await exportJournal(server)
    const receipt = textOf(await server.request('DELETE', '/v1/key/delete/a?receipt=true'))
    writeFileSync(file('receipt.json'), receipt)
    writeFileSync(file('journal'), await exportJournal(server))
    writeFileSync(file('key.pub'), readFileSync(`${prepared.keystore.path}.journal.pub`))
    const verify = ['journal', 'verify', '--public-key', file('key.pub'), file('journal')]
    return { early, earlyExport, head: await headOf(server), verify, receipt }
  }

  test('an export is verified with the public key that was written at set-up', async () => {
    const { verify, head, early } = await someJournal()
    const expected = { code: 0, stdout: `6 entries verified, up to the head ${head}\n` }
    expect(await runKes(verify)).toMatchObject(expected)
    expect(await runKes([...verify, '--expect', early])).toMatchObject(expected)
    expect(await runKes([...verify, '--expect', head])).toMatchObject(expected)
    expect(JSON.parse((await runKes([...verify, '--json'])).stdout)).toEqual({
      verified: true,
      entries: 6,
      head,
    })
  })

  test('an edited export is refused, and the entry named', async () => {
    const { verify } = await someJournal()
    const lines = readFileSync(file('journal'), 'utf8').trimEnd().split('\n')
    for (const [wrong, entry] of [
      [lines.toSpliced(2, 1), 3],
      [lines.with(3, lines[4] ?? ''), 4],
      [lines.with(3, (lines[3] ?? '').replace('"name":"a"', '"name":"b"')), 4],
      [[...lines, 'x'], 7],
      [[...lines, lines[0] ?? ''], 7],
    ] as const) {
      writeFileSync(file('journal'), `${wrong.join('\n')}\n`)
      const { code, stdout } = await runKes([...verify, '--json'])
      expect(code).toBe(1)
      expect(JSON.parse(stdout)).toMatchObject({ verified: false, entry })
    }
  })

  test('an export that was cut off passes alone, but not against a head that was seen', async () => {
    const { verify, earlyExport, head } = await someJournal()
    writeFileSync(file('journal'), earlyExport)
    expect((await runKes(verify)).code).toBe(0)
    const { code, stdout } = await runKes([...verify, '--expect', head])
    expect(code).toBe(1)
    expect(stdout).toContain('entry 6: it is missing: the journal ends with entry 5')
  })

  test('the public key of another store verifies nothing', async () => {
    const { verify } = await someJournal()
    using other = prepareStore()
    await using server = await startTestServer({ keystore: other.keystore })
    expect(server).toBeDefined()
    writeFileSync(file('key.pub'), readFileSync(`${other.keystore.path}.journal.pub`))
    expect((await runKes(verify)).stdout).toContain('entry 1: the signature is not valid')
    const receipt = ['receipt', 'verify', '--public-key', file('key.pub'), file('receipt.json')]
    expect(await runKes(receipt)).toMatchObject({ code: 1 })
  })

  test('a receipt is verified, and refused once a word of it was changed', async () => {
    const { receipt } = await someJournal()
    const verify = ['receipt', 'verify', '--public-key', file('key.pub'), file('receipt.json')]
    const { code, stdout } = await runKes(verify)
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^The key "a" was erased at .+\nIt was made at .+\nIts fingerprint is [0-9a-f]{32}\./,
    )
    writeFileSync(file('receipt.json'), receipt.replaceAll('"a"', '"b"'))
    expect((await runKes(verify)).stdout).toMatch(/^The receipt proves nothing: /)
    appendFileSync(file('receipt.json'), 'x')
    expect((await runKes([...verify, '--json'])).stdout).toContain('"verified":false')
  })

  test.each([
    ['journal verify', 'no journal file specified'],
    ['journal verify x', 'no public key specified'],
    ['journal verify x --public-key x --expect 1', 'invalid head: "1"'],
    ['journal verify x --public-key nowhere', 'open nowhere: no such file or directory'],
    ['receipt verify', 'no receipt file specified'],
    ['receipt verify x', 'no public key specified'],
    ['key history', 'no key name specified'],
    ['key history none', 'failed to read the history of key "none": key does not exist'],
    ['key rm a b --receipt x', 'a receipt is of one key only'],
  ])('kes %s is refused', async (args, message) => {
    const { code, stderr } = await runKes(args)
    expect([code, stderr.startsWith(`Error: ${message}`)]).toEqual([1, true])
  })

  test('a missing export and a private key in place of the public one are refused', async () => {
    const { verify } = await someJournal()
    rmSync(file('journal'))
    expect((await runKes(verify)).stderr).toBe(`Error: open ${file('journal')}: no such file or directory\n`)
    writeFileSync(file('key.pub'), '-----BEGIN PRIVATE KEY-----')
    expect((await runKes(verify)).stderr).toContain('is no public key of a journal')
  })
})

describe('the command line', () => {
  test('rm writes the receipt to a new file, and erases nothing if it can not', async () => {
    const kes = new FakeKes()
    await kes.createKey('a')
    writeFileSync(file('taken'), 'x')
    expect(await runKes(['key', 'rm', 'a', '--receipt', file('taken')], { kes })).toMatchObject({
      code: 1,
      stderr: `Error: the file '${file('taken')}' exists already\n`,
    })
    expect((await runKes(['key', 'rm', 'a', '--receipt', file('no/such')], { kes })).code).toBe(1)
    expect(kes.keys.has('a')).toBe(true)
    expect(await runKes(['key', 'rm', 'a', '--receipt', file('new')], { kes })).toMatchObject({
      code: 0,
      stdout: '',
    })
    expect(readFileSync(file('new'), 'utf8')).toBe('{"name":"a"}\n')
    expect((await runKes(['key', 'rm', 'a', '--receipt', file('newer')], { kes })).code).toBe(1)
    expect(() => readFileSync(file('newer'))).toThrow('ENOENT')
  })

  test('history writes the receipt of an erased key to a new file', async () => {
    const kes = new FakeKes()
    await kes.createKey('a')
    const receipt = ['key', 'history', 'a', '--receipt', file('receipt')]
    expect(await runKes(receipt, { kes })).toMatchObject({
      code: 1,
      stderr: 'Error: failed to read the receipt of key "a": key does not exist\n',
    })
    await kes.deleteKey('a')
    expect(await runKes(receipt, { kes })).toMatchObject({ code: 0, stdout: '' })
    expect(readFileSync(file('receipt'), 'utf8')).toBe('{"name":"a"}\n')
    expect(await runKes(receipt, { kes })).toMatchObject({
      code: 1,
      stderr: `Error: the file '${file('receipt')}' exists already\n`,
    })
  })

  test('head, key and export print what a script reads', async () => {
    expect((await runKes('journal head')).stdout).toBe(`2:${'ab'.repeat(32)}\n`)
    expect(JSON.parse((await runKes('journal head --json')).stdout)).toMatchObject({ number: 2 })
    expect((await runKes('journal key')).stdout).toBe('PEM\n')
    const { stdout } = await runKes('journal export')
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { number: 1, name: '', entry: 'b25l', signature: 'c2lnbmVk' },
      { number: 2, name: 'a', entry: 'dHdv', signature: 'c2lnbmVk' },
    ])
  })

  test('history prints a table, or the entries as the server sends them', async () => {
    const kes = new FakeKes()
    await kes.createKey('a')
    const { stdout } = await runKes('key history a', { kes })
    expect(stdout).toMatch(
      /^Entry +Time +Action +State +From +By\n7 +2026-11-24 01:50:57 +create +enabled +192\.0\.2\.1 /,
    )
    expect(JSON.parse((await runKes('key history a --json', { kes })).stdout)).toMatchObject([
      { number: 7, key_id: '03'.repeat(16), fingerprint: null, entry: 'ZW50cnk=' },
    ])
  })
})
