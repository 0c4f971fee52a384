/**
 * One line of an audit file ↔ its number, its content and its hash, which chains it to the line before.
 *
 *     {"seq":17, …content… ,"hash":"<64 hex digits>"}
 *
 * The hash is SHA-256 over the 64 hex digits of the line before, as ASCII, and this line's bytes up to the comma before
 * `"hash"`. So a line that was changed does not match its own hash, and one that was replaced together with its hash
 * does not match the next.
 *
 * @see docs/audit-file.md
 */
import { hash } from 'node:crypto'

/** A line as the next one sees it. */
export interface Link {
  /** From 1 over all files, one more each. */
  readonly seq: number
  /** 64 hex digits. */
  readonly hash: string
}

export interface ParsedLine extends Link {
  /** What is hashed: a view of the line. */
  readonly content: Buffer
}

export const BEFORE_FIRST: Link = { seq: 0, hash: '0'.repeat(64) }

const START = '{"seq":'
const HASH_FIELD = ',"hash":"'
const END = '"}'
const HASH_DIGITS = 64
const TAIL_BYTES = HASH_FIELD.length + HASH_DIGITS + END.length

/**
 * @param fields - the members of a JSON object, without its braces.
 * @returns the line with its line feed, and what the next one follows.
 */
export function chainLine(previous: Link, fields: string): { readonly text: string; readonly link: Link } {
  const seq = previous.seq + 1
  const content = `${START}${seq},${fields}`
  const link = { seq, hash: hash('sha256', previous.hash + content, 'hex') }
  return { text: `${content}${HASH_FIELD}${link.hash}${END}\n`, link }
}

/** @returns undefined if the bytes, without a line feed, are no line of an audit file. */
export function parseLine(bytes: Buffer): ParsedLine | undefined {
  const tail = /^,"hash":"([0-9a-f]{64})"\}$/.exec(bytes.toString('latin1', bytes.length - TAIL_BYTES))
  const head = /^\{"seq":([1-9][0-9]{0,14}),/.exec(bytes.toString('latin1', 0, START.length + 16))
  if (tail?.[1] === undefined || head === null) return undefined
  return { seq: Number(head[1]), hash: tail[1], content: bytes.subarray(0, bytes.length - TAIL_BYTES) }
}

/** Whether the line's hash is that of its content behind a line that has the hash `previous`. */
export function isChainedTo(previous: string, line: ParsedLine): boolean {
  return hash('sha256', Buffer.concat([Buffer.from(previous, 'latin1'), line.content]), 'hex') === line.hash
}
