/** What a server process wrote to its audit files, verified with its journal. */
import { createPublicKey } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { AuditVerdict } from '../../packages/kes-server/src/audit/verify.ts'
import { type RawLine, readLines } from '../../packages/kes-server/src/cli/file.ts'
import { verifyAuditFiles, verifyHeads } from '../../packages/kes-server/src/cli/verify-audit.ts'
import type { StoredEntry } from '../../packages/kes-server/src/store/journal-store.ts'
import type { Installation } from './installation.ts'
import type { ServerProcess } from './server-process.ts'

export interface FileLine {
  readonly seq: number
  readonly msg: string
  readonly req?: { readonly method: string; readonly path: string }
  readonly res?: { readonly code: number }
  readonly audit?: Readonly<Record<string, string | number>>
}

/** Paths of the files, in their order. */
export function auditFilesOf({ auditFile }: Installation): string[] {
  const folder = dirname(auditFile)
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => join(folder, name))
}

export async function readAuditLines(installation: Installation): Promise<FileLine[]> {
  const lines: FileLine[] = []
  for (const path of auditFilesOf(installation)) {
    for await (const { bytes, isWhole } of readLines(path))
      if (isWhole) lines.push(JSON.parse(bytes.toString()))
  }
  return lines
}

/** @throws what is wrong with the files or the journal. */
export async function verifyAudit(installation: Installation, server: ServerProcess): Promise<AuditVerdict> {
  const entries: RawLine[] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const { rawBody } = await server.request('GET', `/v1/journal/entries?after=${after}`)
    const page: { readonly entries: readonly object[]; readonly continue_at?: number } = JSON.parse(
      rawBody.toString(),
    )
    for (const entry of page.entries) entries.push(lineOf(entry))
    after = page.continue_at
  }
  return verifyFiles(installation, entries)
}

/** As {@link verifyAudit}, with entries as the store has them. */
export function verifyAuditWith(
  installation: Installation,
  entries: readonly StoredEntry[],
): Promise<AuditVerdict> {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  const lines = entries.map(({ number, name, entry, signature }) =>
    lineOf({ number, name, entry: base64(entry), signature: base64(signature) }),
  )
  return verifyFiles(installation, lines)
}

function lineOf(entry: object): RawLine {
  return { bytes: Buffer.from(JSON.stringify(entry)), isWhole: true }
}

async function verifyFiles(installation: Installation, journal: readonly RawLine[]): Promise<AuditVerdict> {
  const publicKey = createPublicKey(readFileSync(`${installation.storeFile}.journal.pub`))
  const heads = await verifyHeads(journal, publicKey, undefined)
  const files = auditFilesOf(installation).map((path) => ({ name: path, lines: readLines(path) }))
  return verifyAuditFiles(files, heads)
}
