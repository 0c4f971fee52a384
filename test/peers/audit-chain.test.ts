/** The chain of an audit file is followed by others with the few lines that docs/audit-file.md has for it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { AuditWriter } from '../../packages/kes-server/src/audit/audit-writer.ts'
import { noteFields } from '../../packages/kes-server/src/audit/lines.ts'
import { peerTest, run } from './peer.ts'

const DOCUMENT = readFileSync(new URL('../../docs/audit-file.md', import.meta.url), 'utf8')

peerTest('python3', 'the Python of the document follows the chain, and finds a changed line', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-chain-'))
  try {
    const [, program = ''] = /^```python\n([\s\S]*?)^```$/m.exec(DOCUMENT) ?? []
    const config = { maxBytes: 1e6, maxAgeMs: 1e9, keep: undefined, headIntervalMs: 1e6 }
    const writer = await AuditWriter.open(
      { path: join(folder, 'audit.jsonl'), ...config },
      {
        storeId: 'ab'.repeat(16),
        reserve: undefined,
        lastHead: undefined,
        whenWritable: () => undefined,
        recordHead: () => undefined,
        notices: { info: () => undefined, warn: () => undefined, error: () => undefined },
      },
    )
    await writer.append(['a', 'naïve ⏎ "quoted"', 'c'].map((text) => noteFields('INFO', text, {})))
    await writer.close()
    const file = join(folder, 'audit-00000001.jsonl')
    const follow = () => run('python3', ['-c', program, file])
    expect(await follow()).toMatchObject({ code: 0, stderr: '' })
    writeFileSync(file, readFileSync(file, 'utf8').replace('naïve', 'naive'))
    expect((await follow()).stderr).toContain('AssertionError')
  } finally {
    rmSync(folder, { recursive: true })
  }
})
