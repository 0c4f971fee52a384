import { expect, test } from 'vitest'
import {
  ADMIN,
  API_KEY,
  CREATED_AT,
  FakeKes,
  IDENTITY,
  key,
  runKes,
} from '../../../../test/kes-cli/harness.ts'
import { formatLocalTime } from './format.ts'

const OTHER_KEY = 'kes:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'

test.each([
  ['ls -i -p', `'-p / --policy' and '-i / --identity' must not be used at the same time`],
  ['policy info', `no policy name specified. See 'kes policy info --help'`],
  ['policy show', `no policy name specified. See 'kes policy show --help'`],
  ['policy info nope', 'policy does not exist'],
  ['policy show nope', `failed to show policy 'nope': policy does not exist`],
])('kes %s is refused', async (args, message) => {
  expect(await runKes(args)).toMatchObject({ code: 1, stdout: '', stderr: `Error: ${message}\n` })
})

test.each([
  ['ls', 'Key\na\nb\n'],
  ['ls b', 'Key\nb\n'],
  ['ls no', ''],
  ['ls --json', '["a","b"]\n'],
  ['ls --json no', '[]\n'],
  ['ls -i', `Identity\n${ADMIN}\n${IDENTITY}\n`],
  ['ls -p', 'Policy\nmy-app\nops\n'],
  ['ls -p --json', '["my-app","ops"]\n'],
  ['policy ls', 'Policy\nmy-app\nops\n'],
  ['policy ls my*', 'Policy\nmy-app\n'],
  ['policy ls --json', '["my-app","ops"]\n'],
  ['policy ls --json no', '[]\n'],
  ['identity ls', `Identity\n${ADMIN}\n${IDENTITY}\n`],
  ['identity ls --json', `["${ADMIN}","${IDENTITY}"]\n`],
])('kes %s', async (args, stdout) => {
  const kes = new FakeKes(key('b'), key('a'))
  expect(await runKes(args, { kes })).toMatchObject({ code: 0, stdout, stderr: '' })
})

test('ls alone takes server and API key as flags, which win over the environment', async () => {
  const env = { MINIO_KES_API_KEY: API_KEY, MINIO_KES_SERVER: 'from-env:1' }
  const { opened } = await runKes(['ls', '-a', OTHER_KEY, '-s', 'host:2'], { env })
  expect(opened).toHaveLength(1)
  expect(opened[0]?.endpoint).toBe('https://host:2')
  expect(opened[0]?.apiKey?.toString()).toBe(OTHER_KEY)
})

test("policy info prints local time, and KES's JSON", async () => {
  expect((await runKes('policy info -k my-app')).stdout).toBe(
    `Name        my-app\nDate        ${formatLocalTime(CREATED_AT)}\nCreated by  ${ADMIN}\n`,
  )
  expect((await runKes('policy info --json my-app')).stdout).toBe(
    `{"name":"my-app","created_at":"${CREATED_AT}","created_by":"${ADMIN}"}\n`,
  )
})

const RULES =
  '{"allow":{"/v1/api":{},"/v1/key/create/my-app*":{}},"deny":{"/v1/key/generate/my-app-internal*":{}},' +
  `"created_at":"${CREATED_AT}","created_by":"${ADMIN}"}`

test('policy show prints the rules as JSON, indented on a terminal', async () => {
  expect((await runKes('policy show my-app')).stdout).toBe(`${RULES}\n`)
  const { stdout } = await runKes('policy show my-app --json', { isTerminal: true })
  expect(stdout).toBe(`${JSON.stringify(JSON.parse(RULES), undefined, 2)}\n`)
})

test('policy show prints the rules as sorted lines on a terminal', async () => {
  const env = { MINIO_KES_API_KEY: API_KEY, NO_COLOR: '1' }
  const { stdout } = await runKes('policy show my-app', { isTerminal: true, env })
  expect(stdout).toBe(
    [
      'Allow:',
      '  · /v1/api',
      '  · /v1/key/create/my-app*',
      'Deny:',
      '  · /v1/key/generate/my-app-internal*',
      `Created at: ${formatLocalTime(CREATED_AT)}`,
      `Created by: ${ADMIN}`,
      '',
    ].join('\n'),
  )
})
