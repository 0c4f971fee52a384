import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clientVariables, curlConfig, quote, shellEnvironment } from './client-files.ts'

const settings = {
  keyServer: 'https://127.0.0.1:7373',
  node: 'https://127.0.0.1:9000',
  caFile: "/tmp/it's $HOME `here`/ca.crt",
  apiKey: 'kes:v1:AAAA',
  accessKey: 'sandbox',
  secretKey: 's3cret',
}

test('a shell that reads the file has every variable as it is', () => {
  const names = Object.keys(clientVariables(settings))
  const script = `${shellEnvironment(settings)}\nfor name in ${names.join(' ')}; do printenv $name; done`
  const values = execFileSync('sh', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n')
  expect(Object.fromEntries(names.map((name, index) => [name, values[index]]))).toEqual(
    clientVariables(settings),
  )
})

test('any text is one word of a shell', () => {
  const text = fc
    .string({ unit: 'binary', maxLength: 40 })
    .filter((it) => !it.includes('\0') && it.isWellFormed())
  fc.assert(
    fc.property(text, (word) => {
      expect(execFileSync('sh', ['-c', `printf %s ${quote(word)}`], { encoding: 'utf8' })).toBe(word)
    }),
    { numRuns: 50 },
  )
})

test("curl's config has the same secrets, and the path of the CA as a text of its own", () => {
  expect(curlConfig(settings)).toContain('user = "sandbox:s3cret"\n')
  expect(curlConfig({ ...settings, caFile: '/a "b"/ca.crt' })).toContain('cacert = "/a \\"b\\"/ca.crt"\n')
})
