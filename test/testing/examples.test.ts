/** The examples, as whoever copies them runs them, and docs/testing.md, which shows them. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { peerTest, run } from '../peers/peer.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const EXAMPLES = join(ROOT, 'examples')
const GO_TIMEOUT_MS = 300_000

/** The pinned Node and the `kes` of this repository come first, and no proxy stands before the control API. */
const ENV = {
  ...process.env,
  PATH: [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter),
  no_proxy: '127.0.0.1',
  PYTHONDONTWRITEBYTECODE: '1',
}

test('node:test: the example passes', async () => {
  const { code, stdout } = await run('node', ['--test', '--test-reporter=tap', 'node-test/*.test.ts'], {
    cwd: EXAMPLES,
    env: ENV,
  })
  expect(stdout).toMatch(/^# pass 3$/m)
  expect(code).toBe(0)
})

peerTest(
  'go',
  'Go: the example passes',
  async () => {
    const { code, stdout, stderr } = await run('go', ['test', '-v', '-count=1', '-mod=readonly', './...'], {
      cwd: join(EXAMPLES, 'go'),
      env: ENV,
      timeoutMs: GO_TIMEOUT_MS,
    })
    expect(stdout + stderr).toMatch(/^--- PASS: TestOrders/m)
    expect(code).toBe(0)
  },
  GO_TIMEOUT_MS,
)

peerTest('python3', 'Python: the example passes', async () => {
  const { code, stderr } = await run('python3', ['-m', 'unittest'], {
    cwd: join(EXAMPLES, 'python'),
    env: ENV,
  })
  expect(stderr).toMatch(/^Ran 5 tests in [\s\S]*^OK$/m)
  expect(code).toBe(0)
})

test('docs/testing.md shows nothing but what stands in the examples', () => {
  const document = readFileSync(join(ROOT, 'docs/testing.md'), 'utf8')
  const blocks = [...document.matchAll(/^```(?:ts|go|python)\n([\s\S]*?)^```$/gm)].map(
    ([, block = '']) => block,
  )
  const sources = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' })
    .map((name) => join(EXAMPLES, name))
    .filter((path) => /\.(?:ts|go|py)$/.test(path) && statSync(path).isFile())
    .map((path) => readFileSync(path, 'utf8'))

  expect(blocks.length).toBeGreaterThanOrEqual(4)
  expect(blocks.filter((block) => !sources.some((source) => source.includes(block)))).toEqual([])
})
