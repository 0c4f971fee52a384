/**
 * A backup ↔ lines of text, which are encrypted as a whole: JSON, one value a line.
 *
 *     header   {"format":"latchkey backup v1","id":…,"made_at":…,"store_id":…,"head":…,"public_key":…,
 *               "schema":…,"tables":[{"name":…,"columns":[…],"rows":…},…]}
 *     rows     [table,value,…]: the number of the table in the header, then a value for each of its columns:
 *              text, an integer, null, or bytes as a list with their base64
 *     end      {"rows":…}: how many rows there are
 *
 * The lines prove nothing by themselves: whoever has a recipient can encrypt another file for it. What they hold does,
 * row by row, under the root key of the store and the key of its journal.
 *
 * @see docs/backup.md
 */
import { decodeBase64 } from '../encoding/base64.ts'
import { parseJson } from '../encoding/json-fields.ts'
import type { JournalHead } from '../journal/journal.ts'
import { formatHead, parseHead } from '../journal/verify.ts'
import type { CellValue, StoredRow, TableContent } from '../store/store-snapshot.ts'

export interface BackupHeader {
  /** 32 hex digits. */
  readonly id: string
  /** RFC 3339, UTC. */
  readonly madeAt: string
  /** 32 hex digits. */
  readonly storeId: string
  /** The last entry of the journal that is in the backup: the one that records it. */
  readonly head: JournalHead
  /** PEM: that of the journal. To verify, take the one that was kept at set-up. */
  readonly publicKey: string
  readonly schemaVersion: number
  readonly tables: readonly TableContent[]
}

/** The content is no backup, is cut off, or is one of a format that this program does not know. */
export class BackupFormatError extends Error {
  override readonly name = 'BackupFormatError'
}

const FORMAT = 'latchkey backup v1'
const TABLES_MAX = 100
/** No row of a store is near it; a file without line ends must not fill the memory. */
export const LINE_LENGTH_MAX = 2 ** 20

export function encodeHeader({
  id,
  madeAt,
  storeId,
  head,
  publicKey,
  schemaVersion,
  tables,
}: BackupHeader): string {
  return lineOf({
    format: FORMAT,
    id,
    made_at: madeAt,
    store_id: storeId,
    head: formatHead(head),
    public_key: publicKey,
    schema: schemaVersion,
    tables,
  })
}

/** By hand for bytes, which are most of a row: half the time of `JSON.stringify` of the whole. */
export function encodeRow({ table, values }: StoredRow): string {
  let line = `[${table}`
  for (const value of values) {
    line += value instanceof Uint8Array ? `,["${base64(value)}"]` : `,${JSON.stringify(value)}`
  }
  return `${line}]\n`
}

export function encodeEnd(rows: number): string {
  return lineOf({ rows })
}

/** @throws {@link BackupFormatError} */
export function decodeHeader(line: string): BackupHeader {
  const fields = objectOf(parse(line))
  if (fields.format !== FORMAT)
    throw new BackupFormatError('the content is no backup of a format that is known')
  const head = parseHead(textOf(fields.head))
  if (head === undefined) throw malformed()
  if (!Array.isArray(fields.tables) || fields.tables.length > TABLES_MAX) throw malformed()
  return {
    id: textOf(fields.id),
    madeAt: textOf(fields.made_at),
    storeId: textOf(fields.store_id),
    head,
    publicKey: textOf(fields.public_key),
    schemaVersion: countOf(fields.schema),
    tables: fields.tables.map((table) => {
      const { name, columns, rows } = objectOf(table)
      if (!Array.isArray(columns)) throw malformed()
      return { name: textOf(name), columns: columns.map(textOf), rows: countOf(rows) }
    }),
  }
}

/** @returns a row, or at the end the number of rows. @throws {@link BackupFormatError} */
export function decodeLine(line: string): StoredRow | { readonly rows: number } {
  const value = parse(line)
  if (!Array.isArray(value)) return { rows: countOf(objectOf(value).rows) }
  const [table, ...values] = value
  return { table: countOf(table), values: values.map(cellOf) }
}

function cellOf(value: unknown): CellValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  const bytes = Array.isArray(value) && value.length === 1 ? decodeBase64(textOf(value[0])) : undefined
  if (bytes === undefined) throw malformed()
  return bytes
}

function lineOf(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

function parse(line: string): unknown {
  const json = parseJson(line)
  if (json === undefined) throw malformed()
  return json.value
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw malformed()
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  throw malformed()
}

function countOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw malformed()
}

function malformed(): BackupFormatError {
  return new BackupFormatError('the content is no backup: a line is not as a server writes it')
}
