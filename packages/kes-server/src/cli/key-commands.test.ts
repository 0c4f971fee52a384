import {
  ErasePendingError,
  KeyDisabledError,
  KeyNameReservedError,
  NotAllowedError,
} from '@latchkey/kms-client'
import { describe, expect, test } from 'vitest'
import {
  ADMIN,
  CREATED_AT,
  DELETION_AT,
  FakeKes,
  IDENTITY,
  key,
  runKes,
} from '../../../../test/kes-cli/harness.ts'

const NOT_ALLOWED = 'not authorized: insufficient permissions'
const THIRTY_TWO_BYTES = Buffer.alloc(32, 7).toString('base64')

test.each([
  ['key create', `no key name specified. See 'kes key create --help'`],
  ['key import', `no key name specified. See 'kes key import --help'`],
  ['key import x', `no crypto key specified. See 'kes key import --help'`],
  ['key import x ?', `invalid key: illegal base64 data at input byte 0. See 'kes key import --help'`],
  ['key info', `no key name specified. See 'kes key info --help'`],
  ['key info no', 'failed to describe keys: key does not exist'],
  ['key rm', `no key name specified. See 'kes key rm --help'`],
  ['key rm no', 'failed to remove key "no": key does not exist'],
  ['key encrypt', `no key name specified. See 'kes key encrypt --help'`],
  ['key encrypt a', `no message specified. See 'kes key encrypt --help'`],
  ['key decrypt', `no key name specified. See 'kes key decrypt --help'`],
  ['key decrypt a', `no ciphertext specified. See 'kes key decrypt --help'`],
  [
    'key decrypt a ?',
    `invalid ciphertext: illegal base64 data at input byte 0. See 'kes key decrypt --help'`,
  ],
  [
    'key decrypt a aaaa ?',
    `invalid context: illegal base64 data at input byte 0. See 'kes key decrypt --help'`,
  ],
  ['key decrypt a aaaa aaaa', 'failed to decrypt ciphertext: decryption failed: ciphertext is not authentic'],
  ['key dek', `no key name specified. See 'kes key dek --help'`],
  ['key dek a ?', `invalid context: illegal base64 data at input byte 0. See 'kes key dek --help'`],
  ['key dek no', 'failed to derive key: key does not exist'],
  ['key disable', `no key name specified. See 'kes key disable --help'`],
  ['key enable', `no key name specified. See 'kes key enable --help'`],
  ['key disable no', 'failed to disable key "no": key does not exist'],
  ['key enable no', 'failed to enable key "no": key does not exist'],
  [
    'key disable a --all',
    `'--all' and key names must not be used at the same time. See 'kes key disable --help'`,
  ],
])('kes %s is refused', async (args, message) => {
  const kes = new FakeKes(key('a'))
  expect(await runKes(args, { kes })).toMatchObject({ code: 1, stdout: '', stderr: `Error: ${message}\n` })
})

test('create makes key after key and stops at the first failure', async () => {
  const kes = new FakeKes(key('b'))
  const { code, stdout, stderr } = await runKes('key create -k a b c', { kes })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toBe('Error: failed to create key "b": key already exists\n')
  expect(kes.calls).toEqual(['create a', 'create b'])
})

test('create says nothing when all is well, and asks for a reserved name only with --reuse', async () => {
  const kes = new FakeKes()
  expect(await runKes('key create a', { kes })).toMatchObject({ code: 0, stdout: '', stderr: '' })
  await runKes('key create --reuse b', { kes })
  expect(kes.calls).toEqual(['create a', 'create b reuse'])
})

test('import takes 32 bytes from the command line or from standard input', async () => {
  const kes = new FakeKes()
  expect(await runKes(['key', 'import', 'a', THIRTY_TWO_BYTES], { kes })).toMatchObject({
    code: 0,
    stdout: '',
  })
  await runKes('key import b -', { kes, stdin: `${THIRTY_TWO_BYTES}\n` })
  const hex = '07'.repeat(32)
  expect(kes.calls).toEqual([`import a ${hex} AES256`, `import b ${hex} AES256`])
})

test('rm erases each key and says nothing', async () => {
  const kes = new FakeKes(key('a'), key('b'))
  expect(await runKes('key rm a b', { kes })).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(kes.calls).toEqual(['delete a', 'delete b'])
})

describe('a scheduled deletion', () => {
  const waiting = () => new FakeKes(key('a', { state: 'pending', deletionAt: DELETION_AT }), key('b'))

  test('rm --after says when, and asks for the time that was given', async () => {
    const kes = new FakeKes(key('a'))
    const { code, stdout } = await runKes('key rm --after 7d a', { kes })
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'key "a" will be deleted after 2026-12-01 01:50:57 UTC\n',
    })
    expect(kes.calls).toEqual(['delete a after 7d'])
  })

  test.each([
    ['key rm --after soon a', 'invalid time "soon": write 7d or 36h, up to 3650d'],
    [
      'key rm --after 7d --receipt f a',
      "a receipt is of an erasure: use '--receipt' again when the time is over",
    ],
  ])('kes %s asks no server', async (args, problem) => {
    const kes = new FakeKes(key('a'))
    const { code, stderr } = await runKes(args, { kes })
    expect({ code, calls: kes.calls }).toEqual({ code: 1, calls: [] })
    expect(stderr).toContain(problem)
  })

  test('shows in info and in ls --long, which have nothing of it otherwise', async () => {
    expect((await runKes('key info a', { kes: waiting() })).stdout).toMatch(
      /\nState {7}pending deletion\nDeletion {4}2026-12-01 01:50:57$/,
    )
    expect((await runKes('key ls -l', { kes: waiting() })).stdout).toBe(
      [
        'Key   State              Algorithm   Created               Deletion              Owner',
        `a     pending deletion   AES256      2026-11-24 01:50:57   2026-12-01 01:50:57   ${ADMIN}`,
        `b     enabled            AES256      2026-11-24 01:50:57                         ${ADMIN}`,
        '',
      ].join('\n'),
    )
    const { stdout } = await runKes('key ls -l --json a', { kes: waiting() })
    expect(JSON.parse(stdout)[0]).toMatchObject({ state: 'pending', deletion_at: DELETION_AT })
  })

  test('is taken back by cancel-deletion, and what is not scheduled is refused', async () => {
    const kes = waiting()
    expect(await runKes('key cancel-deletion a', { kes })).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(kes.keys.get('a')?.state).toBe('disabled')
    const { code, stderr } = await runKes('key cancel-deletion b', { kes })
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'Error: failed to cancel the deletion of key "b": key is not pending deletion\n',
    })
  })

  test('is not touched by a pattern, which says so', async () => {
    const { stdout, stderr } = await runKes('key disable --all', { kes: waiting() })
    expect(stdout).toBe('1 of 2 keys disabled\n')
    expect(stderr).toBe('Hint: 1 of them are pending deletion, and stay so: they can not be used anyway.\n')
  })
})

describe('watch', () => {
  test('prints the keys as they are, and then each change', async () => {
    const kes = new FakeKes()
    expect((await runKes('key watch a*', { kes })).stdout).toBe(
      [
        'Time (UTC)            Change     State              Key',
        '                                 enabled            a',
        '                                 damaged            b',
        '2026-11-24 01:50:57   schedule   pending deletion   a   until 2026-12-01 01:50:57',
        '2026-11-24 01:50:57   erase      erased             a',
        '',
      ].join('\n'),
    )
    expect(kes.calls).toEqual(['watch a*'])
  })

  test('--json is a line for each event, as the server sends it', async () => {
    const { stdout } = await runKes('key watch --json')
    expect(
      stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { event: 'snapshot', name: 'a', state: 'enabled', epoch: 2 },
      { event: 'snapshot', name: 'b', state: 'damaged' },
      { event: 'snapshot-end', epoch: 4 },
      {
        event: 'change',
        name: 'a',
        time: CREATED_AT,
        action: 'schedule',
        state: 'pending',
        epoch: 5,
        deletion_at: DELETION_AT,
      },
      { event: 'change', name: 'a', time: CREATED_AT, action: 'erase', state: 'erased', epoch: 6 },
    ])
  })
})

describe('disable and enable', () => {
  const threeKeys = () => new FakeKes(key('a', { state: 'disabled' }), key('app-1'), key('app-2'))

  test('names are changed one by one, without a word', async () => {
    const kes = threeKeys()
    expect(await runKes('key disable app-1 app-2', { kes })).toMatchObject({ code: 0, stdout: '' })
    expect(await runKes('key enable app-2', { kes })).toMatchObject({ code: 0, stdout: '' })
    expect(kes.calls).toEqual(['disable app-1', 'disable app-2', 'enable app-2'])
  })

  test('a pattern is one call, which says what has changed', async () => {
    const kes = threeKeys()
    expect((await runKes('key disable app-*', { kes })).stdout).toBe('2 of 2 keys disabled\n')
    expect((await runKes('key enable *', { kes })).stdout).toBe('3 of 3 keys enabled\n')
    expect(kes.calls).toEqual(['disable app-*', 'enable *'])
  })

  test('--all is every key at once, and no question comes first, even on a terminal', async () => {
    const kes = threeKeys()
    const { code, stdout } = await runKes('key disable --all', { kes, isTerminal: true })
    expect({ code, stdout }).toEqual({ code: 0, stdout: '2 of 3 keys disabled\n' })
    expect(kes.calls).toEqual(['disable *'])
  })

  test('a pattern without a match says so', async () => {
    const { code, stdout, stderr } = await runKes('key disable ap_*', { kes: threeKeys() })
    expect({ code, stdout }).toEqual({ code: 0, stdout: '0 of 0 keys disabled\n' })
    expect(stderr).toBe('Hint: there is no key whose name starts with "ap_".\n')
  })
})

describe('info', () => {
  test('an enabled key prints exactly what KES prints, without a newline at the end', async () => {
    const { stdout } = await runKes('key info -k clik1', { kes: new FakeKes(key('clik1')) })
    expect(stdout).toBe(
      `Name        clik1\nAlgorithm   AES256\nDate        2026-11-24 01:50:57\nOwner       ${ADMIN}`,
    )
  })

  test('JSON of an enabled key leaves the usual algorithm out, as KES does, and no other', async () => {
    const kes = new FakeKes(key('clik1'), key('other', { algorithm: 'ChaCha20' }))
    expect((await runKes('key info --json clik1', { kes })).stdout).toBe(
      `{"name":"clik1","created_at":"2026-11-24T01:50:57.444949513Z","created_by":"${ADMIN}"}\n`,
    )
    expect((await runKes('key info --json other', { kes })).stdout).toContain('"algorithm":"ChaCha20"')
  })

  test('a disabled key says so, in plain and in JSON', async () => {
    const changed = { state: 'disabled', revision: 2, changedAt: '2026-11-25T00:00:00Z', changedBy: IDENTITY }
    const kes = new FakeKes(key('a', changed))
    expect((await runKes('key info a', { kes })).stdout).toMatch(/\nState {7}disabled$/)
    expect((await runKes('key info a --json', { kes })).stdout).toBe(
      `{"name":"a","created_at":"2026-11-24T01:50:57.444949513Z","created_by":"${ADMIN}",` +
        `"state":"disabled","revision":2,"changed_at":"2026-11-25T00:00:00Z","changed_by":"${IDENTITY}"}\n`,
    )
  })

  test('a key without state, as a Go KES has it, counts as enabled', async () => {
    const { name, algorithm, createdAt } = key('a')
    const { stdout } = await runKes('key info a', { kes: new FakeKes({ name, algorithm, createdAt }) })
    expect(stdout).toBe('Name        a\nAlgorithm   AES256\nDate        2026-11-24 01:50:57')
  })
})

describe('ls', () => {
  const kes = () => new FakeKes(key('b'), key('my-1'), key('my-2', { state: 'disabled' }))

  test.each([
    ['key ls', 'Key\nb\nmy-1\nmy-2\n'],
    ['key ls my*', 'Key\nmy-1\nmy-2\n'],
    ['key ls my', 'Key\nmy-1\nmy-2\n'],
    ['key ls no', ''],
    ['key ls --json', '["b","my-1","my-2"]\n'],
    ['key ls --json no', '[]\n'],
    ['key ls --long no', ''],
    ['key ls --long --json no', '[]\n'],
  ])('kes %s', async (args, stdout) => {
    expect(await runKes(args, { kes: kes() })).toMatchObject({ code: 0, stdout, stderr: '' })
  })

  test('--long is a table', async () => {
    expect((await runKes('key ls --long my*', { kes: kes() })).stdout).toBe(
      [
        'Key    State      Algorithm   Created               Owner',
        `my-1   enabled    AES256      2026-11-24 01:50:57   ${ADMIN}`,
        `my-2   disabled   AES256      2026-11-24 01:50:57   ${ADMIN}`,
        '',
      ].join('\n'),
    )
  })

  test('--long --json has every field of every key', async () => {
    const { stdout } = await runKes('key ls --long --json my-2', { kes: kes() })
    expect(JSON.parse(stdout)).toEqual([
      {
        name: 'my-2',
        algorithm: 'AES256',
        created_at: '2026-11-24T01:50:57.444949513Z',
        created_by: ADMIN,
        state: 'disabled',
        revision: 1,
        changed_at: '2026-11-24T01:50:57.444949513Z',
        changed_by: ADMIN,
      },
    ])
  })

  test('the last use shows where it is known', async () => {
    const used = new FakeKes(key('a', { lastUsedAt: '2026-11-25T00:00:00.5Z' }), key('b'))
    expect((await runKes('key ls -l', { kes: used })).stdout).toBe(
      [
        'Key   State     Algorithm   Created               Last use              Owner',
        `a     enabled   AES256      2026-11-24 01:50:57   2026-11-25 00:00:00   ${ADMIN}`,
        `b     enabled   AES256      2026-11-24 01:50:57                         ${ADMIN}`,
        '',
      ].join('\n'),
    )
    expect((await runKes('key info -l a', { kes: used })).stdout).toMatch(
      /\nLast use {4}2026-11-25 00:00:00$/,
    )
    expect(JSON.parse((await runKes('key info a -l --json', { kes: used })).stdout)).toMatchObject({
      last_used_at: '2026-11-25T00:00:00.5Z',
    })
  })

  test('a damaged key is listed as damaged', async () => {
    const damaged = Object.assign(kes(), {
      async *listKeyDetails() {
        yield { name: 'bad', state: 'damaged' } as const
      },
    })
    expect((await runKes('key ls -l', { kes: damaged })).stdout).toMatch(/\nbad +damaged\n$/)
    expect((await runKes('key ls -l --json', { kes: damaged })).stdout).toBe(
      '[{"name":"bad","state":"damaged"}]\n',
    )
  })
})

describe('encrypt, decrypt and dek', () => {
  const kes = () => new FakeKes(key('a'))

  test.each([
    ['key encrypt a abc', '{"ciphertext":"Y2Jh"}', '\nciphertext: Y2Jh\n'],
    ['key decrypt a Y2Jh', '{"plaintext":"YWJj"}', '\nplaintext: YWJj\n'],
    [
      'key dek a',
      '{"plaintext":"cGxhaW50ZXh0","ciphertext":"Y2lwaGVydGV4dA=="}',
      '\nplaintext:  cGxhaW50ZXh0\nciphertext: Y2lwaGVydGV4dA==\n',
    ],
  ])('kes %s prints JSON without a newline, and lines on a terminal', async (args, plain, terminal) => {
    expect((await runKes(args, { kes: kes() })).stdout).toBe(plain)
    expect((await runKes(args, { kes: kes(), isTerminal: true })).stdout).toBe(terminal)
  })

  test('dek passes its context on, and decrypt reads standard input', async () => {
    const server = kes()
    await runKes('key dek a Zm9v', { kes: server })
    expect(server.calls).toEqual(['generate a foo'])
    expect((await runKes('key decrypt a -', { kes: server, stdin: 'Y2Jh\n' })).stdout).toContain('YWJj')
  })
})

describe('hints follow the line that scripts know', () => {
  const failing = (method: keyof FakeKes, error: Error) =>
    Object.assign(new FakeKes(), { [method]: () => Promise.reject(error) })

  test('a disabled key: how to enable it', async () => {
    const kes = failing('generateKey', new KeyDisabledError(403, NOT_ALLOWED, 'KeyDisabled'))
    expect((await runKes('key dek a', { kes })).stderr).toBe(
      `Error: failed to derive key: ${NOT_ALLOWED}\nHint: The key "a" is disabled. To enable it: kes key enable a\n`,
    )
  })

  test('a refusal: who was refused what', async () => {
    const kes = failing('deleteKey', new NotAllowedError(403, NOT_ALLOWED, 'NotAllowed'))
    expect((await runKes('key rm a', { kes })).stderr).toBe(
      `Error: failed to remove key "a": ${NOT_ALLOWED}\n` +
        `Hint: The identity ${IDENTITY} was refused /v1/key/delete/a: no rule of its policy 'my-app' allows it.\n`,
    )
  })

  test.each([
    ['the rule that denies it', { deny: ['/v1/key/*'] }, "rule '/v1/key/*' of its policy 'my-app' denies it"],
    ['nothing more where the rules allow it', { allow: ['/v1/*'] }, 'no policy allows it, or one denies it'],
    ['nothing more where the server does not tell', undefined, 'no policy allows it, or one denies it'],
  ])('a refusal names %s', async (_, rules, reason) => {
    const kes = failing('deleteKey', new NotAllowedError(403, NOT_ALLOWED, 'NotAllowed'))
    const self = { ...(await new FakeKes().describeSelf()), ...rules }
    kes.describeSelf = () => (rules === undefined ? Promise.reject(new Error('no')) : Promise.resolve(self))
    expect((await runKes('key rm a', { kes })).stderr).toContain(`was refused /v1/key/delete/a: ${reason}.\n`)
  })

  test('a reserved name: how to take it again', async () => {
    const kes = failing('createKey', new KeyNameReservedError(400, 'key already exists', 'KeyNameReserved'))
    const [first, second] = (await runKes('key create a', { kes })).stderr.split('\n')
    expect(first).toBe('Error: failed to create key "a": key already exists')
    expect(second).toContain('kes key create --reuse a')
  })

  test('a reserved name that is imported under: that it takes another', async () => {
    const kes = failing('importKey', new KeyNameReservedError(400, 'key already exists', 'KeyNameReserved'))
    const { stderr } = await runKes(`key import a ${Buffer.alloc(32).toString('base64')}`, { kes })
    expect(stderr).toBe(
      'Error: failed to import "a": key already exists\n' +
        'Hint: A key "a" was erased, and its name stays reserved: import the key under another name.\n',
    )
  })

  test('an erase that is pending: how to learn of its end', async () => {
    const kes = failing('deleteKey', new ErasePendingError(503, 'key is erased, but …', 'ErasePending'))
    const [first, second] = (await runKes('key rm a', { kes })).stderr.split('\n')
    expect(first).toBe('Error: failed to remove key "a": key is erased, but …')
    expect(second).toContain('kes key rm a')
  })
})
