/** The pictures of the README can be taken at any time, so they can be kept true. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { EXECUTABLE, MISSING_BROWSER } from '../console/chromium.ts'
import { peerTest, run } from '../peers/peer.ts'
import { ROOT } from './start-process.ts'

const IMAGES = join(ROOT, 'docs/images')
const PROGRAM = join(ROOT, 'scripts/screenshots/main.ts')
const PNG_BYTES_MAX = 150_000
const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
const RUN_MAX_MS = 180_000

test('the README shows the pictures that there are, and they are small', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const shown = [...readme.matchAll(/\]\(docs\/images\/([\w.-]+)\)/g)].map(([, name]) => name)
  expect(shown.toSorted()).toEqual(readdirSync(IMAGES).toSorted())
  for (const name of readdirSync(IMAGES)) expectPicture(IMAGES, name)
})

peerTest(
  'aws',
  'all of them are taken anew of a sandbox, and the session is what its commands have printed',
  async () => {
    if (EXECUTABLE === undefined && !process.env.CI) return console.warn(MISSING_BROWSER)
    const out = mkdtempSync(join(tmpdir(), 'latchkey-pictures-'))
    try {
      const { code, stderr } = await run(process.execPath, [PROGRAM, '--out', out], {
        env: { HOME: process.env.HOME },
        timeoutMs: RUN_MAX_MS,
      })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(readdirSync(out).toSorted()).toEqual(readdirSync(IMAGES).toSorted())
      for (const name of readdirSync(out)) expectPicture(out, name)
      expect(commandsOf(out)).toEqual(commandsOf(IMAGES))
    } finally {
      rmSync(out, { recursive: true, force: true })
    }
  },
  RUN_MAX_MS,
)

function expectPicture(folder: string, name: string): void {
  const bytes = readFileSync(join(folder, name))
  expect(bytes.length, name).toBeLessThan(PNG_BYTES_MAX)
  if (name.endsWith('.png')) {
    expect(bytes.subarray(0, PNG_SIGNATURE.length)).toEqual(PNG_SIGNATURE)
    return
  }
  const text = bytes.toString()
  for (const word of ['kms:NotAuthorized', 'The latch holds.', 'kms:KeyNotFound', 'was erased at']) {
    expect(text).toContain(word)
  }
}

/** Of the session. */
function commandsOf(folder: string): string[] {
  const svg = readFileSync(join(folder, 'session.svg'), 'utf8')
  return [...svg.matchAll(/<tspan class="prompt">\$ <\/tspan>([^<]*)/g)].map(([, command = '']) => command)
}
