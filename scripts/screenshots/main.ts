/** `npm run screenshots`: the pictures of the README, taken of a sandbox that is made for them. Needs Chromium and aws. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startSandbox } from '../../packages/play/src/sandbox/sandbox.ts'
import { takePictures } from './console.ts'
import { fill } from './content.ts'
import { recordSession } from './session.ts'
import { drawSession } from './session-svg.ts'

const ROOT = resolve(import.meta.dirname, '../..')

const { values } = parseArgs({ options: { out: { type: 'string' } } })
const out = resolve(values.out ?? join(ROOT, 'docs/images'))
mkdirSync(out, { recursive: true })

await using stack = new AsyncDisposableStack()
const folder = stack.adopt(mkdtempSync(join(tmpdir(), 'latchkey-pictures-')), (path) =>
  rmSync(path, { recursive: true, force: true }),
)
const sandbox = stack.use(
  await startSandbox({
    folder: join(folder, 'sandbox'),
    certificates: join(folder, 'certs'),
    host: '127.0.0.1',
    ports: {},
    onLockedKey: () => {},
    signal: new AbortController().signal,
  }),
)
const session = await recordSession(sandbox.facts, join(folder, 'session'))
writeFileSync(join(out, 'session.svg'), drawSession(session))
await fill(sandbox)
const pictures = await takePictures(sandbox)
for (const [name, png] of pictures) writeFileSync(join(out, name), png)
console.log(`${out}: session.svg, ${[...pictures.keys()].join(', ')}`)
