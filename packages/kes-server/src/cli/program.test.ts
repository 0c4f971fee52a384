import { expect, test } from 'vitest'
import { FakeKes, key, runKes } from '../../../../test/kes-cli/harness.ts'

test.each([
  ['foo', `"foo" is not a kes command. See 'kes --help'`],
  ['help', `"help" is not a kes command. See 'kes --help'`],
  ['key foo', `"foo" is not a key command. See 'kes key --help'`],
  ['policy foo', `"foo" is not a policy command. See 'kes policy --help'`],
  ['--foo', `unknown flag: --foo. See 'kes --help'`],
  ['key --foo', `unknown flag: --foo. See 'kes key --help'`],
  ['key create --foo', `unknown flag: --foo. See 'kes key create --help'`],
  ['key create x --foo=bar', `unknown flag: --foo. See 'kes key create --help'`],
  ['key create -x y', `unknown shorthand flag: 'x' in -x. See 'kes key create --help'`],
  ['key create -v y', `unknown shorthand flag: 'v' in -v. See 'kes key create --help'`],
  ['key create x -a', `unknown shorthand flag: 'a' in -a. See 'kes key create --help'`],
  ['ls -a', `flag needs an argument: --api-key. See 'kes ls --help'`],
  ['ls --json=maybe', `invalid argument "maybe" for "--json" flag: it is true or false. See 'kes ls --help'`],
  ['key ls a b', `too many arguments. See 'kes key ls --help'`],
  ['identity of a b', `too many arguments. See 'kes identity of --help'`],
  ['identity a b', `too many arguments. See 'kes identity --help'`],
])('kes %s is refused', async (args, message) => {
  expect(await runKes(args)).toMatchObject({ code: 1, stdout: '', stderr: `Error: ${message}\n` })
})

test('a command that is nearly right gets its right name as a hint', async () => {
  const { stderr } = await runKes('key creat x')
  expect(stderr).toBe(
    `Error: "creat" is not a key command. See 'kes key --help'\nHint: Did you mean create?\n`,
  )
})

test.each([
  '',
  '-h',
  '--help',
  'key',
  'key -h',
  'policy',
  'key create --help',
  'ls --help',
  'identity -h',
  'status -k -h',
])('kes %s prints help on stderr and exits with 2', async (args) => {
  const { code, stdout, stderr } = await runKes(args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^Usage: kes /)
})

test('help names every command and every environment variable', async () => {
  const { stderr } = await runKes('--help')
  for (const word of 'ls key policy identity log status metric update'.split(' ')) {
    expect(stderr).toMatch(new RegExp(`^  ${word} `, 'm'))
  }
  for (const variable of [
    'MINIO_KES_SERVER',
    'KES_API_KEY',
    'KES_CLIENT_KEY',
    'KES_CLIENT_CERT',
    'KES_CA_PATH',
  ]) {
    expect(stderr).toContain(variable)
  }
})

test.each([
  'server',
  'key export',
  'seal rotate-root',
  'backup verify',
  'backup restore',
  'migrate',
  'sandbox',
  'audit verify',
])('the prose of kes %s --help is as wide as its table of options', async (command) => {
  const { stderr } = await runKes(`${command} --help`)
  expect(stderr.split('\n').filter((line) => /^\S/.test(line) && line.length > 100)).toEqual([])
})

test.each(['-v', '--version'])('kes %s prints four aligned lines', async (args) => {
  const { code, stdout, stderr } = await runKes(args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.split('\n').map((line) => line.slice(0, 11))).toEqual([
    'Version    ',
    'Runtime    ',
    'License    ',
    'Copyright  ',
    '',
  ])
  expect(stdout).toMatch(/^Version {4}\d+\.\d+\.\d+ +commit=/)
  expect(stdout).toMatch(/^Runtime {4}node \d+\.\d+\.\d+ \w+\/\w+ {3}\S/m)
  expect(stdout).toMatch(/^License {4}Apache-2\.0 /m)
})

test('kes update says how to update, and fails', async () => {
  const { code, stderr } = await runKes('update -k -d --os linux v1.2.3')
  expect(code).toBe(1)
  expect(stderr).toContain('Update Latchkey where it comes from')
})

test.each([
  'key ls -k --json a*',
  'key ls a* --json -k',
  'key ls --insecure a* --json',
  'key ls --json=true -k -- a*',
])('the flags of kes %s may stand anywhere', async (args) => {
  const { code, stdout, opened } = await runKes(args, { kes: new FakeKes(key('a1'), key('b1')) })
  expect({ code, stdout }).toEqual({ code: 0, stdout: '["a1"]\n' })
  expect(opened[0]?.insecureSkipVerify).toBe(true)
})

test('--json=false is no --json, and --enclave is ignored', async () => {
  const { stdout } = await runKes('key ls --json=false --enclave=tenant', { kes: new FakeKes(key('a')) })
  expect(stdout).toBe('Key\na\n')
})

test('"Error:" is red on a terminal, unless colours are not wanted', async () => {
  const red = '\u001b[31mError:\u001b[39m "foo" is not'
  expect((await runKes('foo', { isTerminal: true })).stderr).toContain(red)
  expect((await runKes('foo', { isTerminal: true, env: { NO_COLOR: '1' } })).stderr).toMatch(/^Error: "foo"/)
  expect((await runKes('foo', { isTerminal: true, env: { TERM: 'dumb' } })).stderr).toMatch(/^Error: "foo"/)
})

test('--color decides over colours on stdout, and refuses other words', async () => {
  const kes = new FakeKes(key('a'))
  expect((await runKes('key ls --color always', { kes })).stdout).toBe('\u001b[1mKey\u001b[22m\na\n')
  expect((await runKes('key ls --color=never', { kes, isTerminal: true })).stdout).toBe('Key\na\n')
  expect((await runKes('key ls --color=auto', { kes })).stdout).toBe('Key\na\n')
  expect((await runKes('key ls --color=pink', { kes })).code).toBe(1)
})

test('an interrupted request ends with 1 and no word', async () => {
  const interruption = AbortSignal.abort()
  const kes = Object.assign(new FakeKes(), { status: () => Promise.reject(interruption.reason) })
  expect(await runKes('status', { kes, interruption })).toMatchObject({ code: 1, stdout: '', stderr: '' })
})
