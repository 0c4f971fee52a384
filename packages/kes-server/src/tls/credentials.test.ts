import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { authorityOf } from '../../../../test/sandbox/certificates.ts'
import { readClientCas } from './credentials.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'credentials-'))
})

afterEach(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

describe('a folder of client CAs', () => {
  test('is read as Kubernetes mounts it, each file once', async () => {
    const [one, two] = [await authorityOf('one'), await authorityOf('two')].map(({ certificate }) =>
      certificate.toString().trim(),
    )
    mkdirSync(join(folder, '..2026_11_27_01_02_03.1'))
    symlinkSync('..2026_11_27_01_02_03.1', join(folder, '..data'))
    for (const [name, text] of [
      ['two.crt', two],
      ['one.crt', one],
    ] as const) {
      write(`..data/${name}`, `${text}\n`)
      symlinkSync(`..data/${name}`, join(folder, name))
    }
    expect(readClientCas(folder)).toEqual([one, two])
  })

  test('with a link that leads nowhere is refused, and the link is named', () => {
    symlinkSync('nowhere', join(folder, 'ca.crt'))
    expect(() => readClientCas(folder)).toThrow(
      `failed to read TLS CA certificates: stat ${folder}/ca.crt: no such file or directory`,
    )
  })
})
