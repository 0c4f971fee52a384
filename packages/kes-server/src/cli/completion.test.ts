import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runKes } from '../../../../test/kes-cli/harness.ts'

let home: string

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'completion-'))
})

afterEach(() => rmSync(home, { recursive: true }))

async function complete(line: string, SHELL = '/bin/bash'): Promise<string[]> {
  const { code, stdout, stderr } = await runKes([], { env: { SHELL, COMP_LINE: line } })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout.split('\n').slice(0, -1)
}

describe('a shell that asks', () => {
  test('gets the commands, those that KES leaves out too', async () => {
    expect(await complete('kes ')).toEqual(
      expect.arrayContaining(['key', 'ls', 'migrate', 'policy', 'server']),
    )
    expect(await complete('kes ', '/usr/bin/zsh')).toContain('key')
  })

  test('gets what begins like the last word', async () => {
    expect(await complete('kes ke')).toEqual(['key'])
    expect(await complete('kes key di')).toEqual(['disable'])
    expect(await complete('kes policy e')).toEqual(['explain'])
    expect(await complete('kes nothing-like-that')).toEqual([])
  })

  test('gets options where one has begun, or no command can follow', async () => {
    expect(await complete('kes server --')).toEqual(expect.arrayContaining(['--addr', '--config', '--dev']))
    expect(await complete('kes migrate --f')).toEqual(['--force', '--from'])
    expect(await complete('kes key rm -k my-key --re')).toEqual(['--receipt'])
  })

  test('gets no option that is hidden', async () => {
    expect(await complete('kes server --k')).toEqual([])
  })

  test('of another kind is not answered', async () => {
    const { code } = await runKes([], { env: { SHELL: '/bin/fish', COMP_LINE: 'kes ' } })
    expect(code).toBe(2)
  })
})

describe('kes --auto-completion', () => {
  const install = (SHELL: string) => runKes(['--auto-completion'], { env: { SHELL, HOME: home } })

  test('adds a line to .bashrc, once, and leaves what stands there', async () => {
    const file = join(home, '.bashrc')
    writeFileSync(file, 'export A=1')
    const { code, stdout } = await install('/bin/bash')
    const [first, line = '', ...rest] = readFileSync(file, 'utf8').split('\n')
    expect({ code, first, rest }).toEqual({ code: 0, first: 'export A=1', rest: [''] })
    expect(line).toMatch(/^complete -o default -C '\S+ \S+' kes$/)
    expect(stdout).toBe(
      `Added completion to '${file}'.\nTo uninstall completion remove the following line from '${file}':\n\n  ${line}\n`,
    )

    expect(await install('/bin/bash')).toMatchObject({
      code: 0,
      stdout: 'Completion is already installed.\n',
    })
    expect(readFileSync(file, 'utf8')).toBe(`export A=1\n${line}\n`)
  })

  test('loads what zsh needs for it first', async () => {
    await install('/bin/zsh')
    const lines = readFileSync(join(home, '.zshrc'), 'utf8').split('\n')
    expect(lines[0]).toBe('autoload -U +X bashcompinit && bashcompinit')
    expect(lines[1]).toMatch(/^complete /)
  })

  test('is refused for another shell', async () => {
    expect(await install('/bin/fish')).toMatchObject({
      code: 1,
      stderr: "Error: auto-completion for '/bin/fish' is not available\n",
    })
  })
})
