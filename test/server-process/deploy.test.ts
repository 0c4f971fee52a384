/** The systemd unit: systemd takes it, confines the server by it, and its commands are ones that `kes` knows. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { runKes } from './server-process.ts'

const UNIT = readFileSync(resolve(import.meta.dirname, '../../deploy/latchkey.service'), 'utf8')
const PROGRAM = '/usr/local/bin/kes'
const CONFIG = '/etc/latchkey/kes.yml'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-deploy-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

function fieldOf(field: string): string {
  const value = new RegExp(`^${field}=(.*)$`, 'm').exec(UNIT)?.[1]
  if (value === undefined) throw new Error(`the unit has no ${field}`)
  return value
}

/** Asks systemd about the unit, with a program in place of the server's that is there. */
function analyze(...args: readonly string[]) {
  const path = join(folder, 'latchkey.service')
  writeFileSync(path, UNIT.replace(PROGRAM, process.execPath))
  return spawnSync('systemd-analyze', [...args, path], { encoding: 'utf8' })
}

test('systemd finds nothing wrong with the unit', () => {
  const { status, stdout, stderr, error } = analyze('verify', '--man=no')
  expect({ status, stdout, stderr, error }).toEqual({ status: 0, stdout: '', stderr: '', error: undefined })
})

test('systemd rates what the unit leaves open as little', () => {
  const { status, stdout, error } = analyze('security', '--offline=true', '--threshold=30', '--no-pager')
  expect(error).toBeUndefined()
  expect(status, stdout).toBe(0)
})

test('the command of the unit starts a server from its config file, and its reload is the signal for one', async () => {
  const [program, ...args] = fieldOf('ExecStart').split(' ')
  expect(program).toBe(PROGRAM)
  expect(args).toContain(CONFIG)
  const missing = join(folder, 'kes.yml')
  const { code, stderr } = await runKes(args.map((arg) => (arg === CONFIG ? missing : arg)))
  expect(code).toBe(1)
  expect(stderr).toContain(`open ${missing}: no such file or directory`)
  expect(fieldOf('ExecReload')).toBe('/bin/kill -HUP $MAINPID')
})
