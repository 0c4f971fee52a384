/**
 * The config file as YAML: its syntax, and its mappings as Go's decoder sees them, with aliases and merge keys.
 *
 * No text of the file goes into a message, because that text may be a secret.
 */
import {
  type Document,
  type ErrorCode,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { Position } from './problem.ts'
import type { Report } from './report.ts'

/** A value with its aliases resolved; `undefined` where the file says nothing or `null`. */
export type Value = Scalar | YAMLMap | YAMLSeq | undefined

export interface Field {
  readonly keyPosition: Position
  /** Of the value; of the key where there is no value. */
  readonly position: Position
  readonly value: Value
}

const START: Position = { line: 1, column: 1 }

/** No config file is nested deeper than 7. */
const DEPTH_MAX = 100

const CONTENT_EXPECTED = 'did not find expected node content'

const SYNTAX_ERRORS: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: 'an alias can have neither an anchor nor a tag',
  BAD_ALIAS: 'an alias needs the name of an anchor',
  BAD_COLLECTION_TYPE: 'this tag does not fit its value',
  BAD_DIRECTIVE: 'unknown directive',
  BAD_DQ_ESCAPE: 'found unknown escape character',
  BAD_INDENT: 'the indentation does not fit the lines above',
  BAD_PROP_ORDER: 'anchors and tags stand after the indicators ?, : and -',
  BAD_SCALAR_START: 'found character that cannot start any token',
  BLOCK_AS_IMPLICIT_KEY: 'mapping values are not allowed in this context',
  BLOCK_IN_FLOW: 'an indented block cannot stand between { } or [ ]',
  DUPLICATE_KEY: 'a mapping has the same key twice',
  IMPOSSIBLE: CONTENT_EXPECTED,
  KEY_OVER_1024_CHARS: "could not find expected ':'",
  MISSING_CHAR: CONTENT_EXPECTED,
  MULTILINE_IMPLICIT_KEY: "could not find expected ':'",
  MULTIPLE_ANCHORS: 'a value can have one anchor only',
  MULTIPLE_DOCS: 'a second document starts here',
  MULTIPLE_TAGS: 'a value can have one tag only',
  NON_STRING_KEY: 'the key of a mapping must be plain text',
  RESOURCE_EXHAUSTION: 'exceeded max depth',
  TAB_AS_INDENT: 'found a tab character that violates indentation',
  TAG_RESOLVE_FAILED: 'unknown tag',
  UNEXPECTED_TOKEN: CONTENT_EXPECTED,
}

const SYNTAX_HINTS: Partial<Record<ErrorCode, string>> = {
  BAD_DQ_ESCAPE: "write '\\\\' for a backslash, or use single quotes",
  BAD_INDENT: 'indent it as far as the lines that it belongs to',
  BAD_SCALAR_START: 'put the value in quotes',
  BLOCK_AS_IMPLICIT_KEY: "put a value with ': ' in quotes",
  MULTIPLE_ANCHORS: "a text that begins with '&' needs quotes",
  TAB_AS_INDENT: 'indent with spaces',
}

function hintFor(code: ErrorCode): string {
  return SYNTAX_HINTS[code] ?? 'look for a quote, a bracket or a colon that is missing here or above'
}

/** Control characters other than tab, line feed and carriage return, none of which YAML allows. */
const CONTROL_CHARACTER = /(?![\t\n\r])\p{Cc}/u

/** The first document of a config file. */
export class YamlSource {
  readonly #document: Document
  readonly #lines: LineCounter
  readonly #report: Report

  private constructor(document: Document, lines: LineCounter, report: Report) {
    this.#document = document
    this.#lines = lines
    this.#report = report
  }

  /** `undefined` if the text is no YAML; the report has the reasons then. */
  static parse(text: string, report: Report): YamlSource | undefined {
    const lines = new LineCounter()
    const [document, next] = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false, // They quote the text.
      stringKeys: true,
      uniqueKeys: false, // Checked below, where the first line is known too.
    })
    const control = CONTROL_CHARACTER.exec(text)
    if (control !== null) {
      report.error('syntax', place(lines, control.index), 'control characters are not allowed', 'remove it')
      return undefined
    }
    if (document === undefined) {
      report.error('file', START, 'EOF', 'the file is empty')
      return undefined
    }
    const [error] = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0])
    if (error !== undefined) {
      // The errors behind the first are its consequences, as a rule.
      report.error('syntax', place(lines, error.pos[0]), SYNTAX_ERRORS[error.code], hintFor(error.code))
      return undefined
    }
    for (const warning of document.warnings) {
      report.warn(place(lines, warning.pos[0]), `${SYNTAX_ERRORS[warning.code]} is ignored`, 'remove it')
    }
    const source = new YamlSource(document, lines, report)
    if (next !== undefined) {
      report.warn(
        source.position(next.contents, START),
        'only the first document of the file is read',
        "remove what stands behind '---'",
      )
    }
    source.#checkKeys(document.contents, 0)
    return source
  }

  /** The whole document; `undefined` if there is none or it is `null`. */
  root(): Value {
    return this.valueOf(this.#document.contents)
  }

  position(node: unknown, otherwise: Position): Position {
    const start = isNode(node) ? node.range?.[0] : undefined
    return start === undefined ? otherwise : place(this.#lines, start)
  }

  items(list: YAMLSeq, parent: Position): { readonly value: Value; readonly position: Position }[] {
    return list.items.map((item) => ({
      value: this.valueOf(item),
      position: this.position(item, parent),
    }))
  }

  /** A mapping's fields; those of a merge key (`<<`) stand behind its own. */
  fields(map: YAMLMap, mergedBy: readonly YAMLMap[] = []): Map<string, Field> {
    const fields = new Map<string, Field>()
    const merged: Value[] = []
    for (const pair of map.items) {
      if (!isScalar(pair.key)) continue
      const name = String(pair.key.value)
      const keyPosition = this.position(pair.key, START)
      const value = this.valueOf(pair.value)
      if (name === '<<' && pair.key.type === 'PLAIN') {
        merged.push(...(isSeq(value) ? this.items(value, keyPosition).map((item) => item.value) : [value]))
      } else if (!fields.has(name)) {
        fields.set(name, { keyPosition, value, position: this.position(pair.value, keyPosition) })
      }
    }
    for (const value of merged) {
      if (!isMap(value) || mergedBy.includes(value)) {
        const message = 'map merge requires map or sequence of maps as the value'
        const place = this.position(value, this.position(map, START))
        this.#report.error('type', place, message, "write '<<: *anchor', the anchor being that of a mapping")
        continue
      }
      for (const [name, field] of this.fields(value, [...mergedBy, map])) {
        if (!fields.has(name)) fields.set(name, field)
      }
    }
    return fields
  }

  /** The node that stands here, or that an alias here refers to. */
  valueOf(node: unknown): Value {
    if (isAlias(node)) {
      const value = node.resolve(this.#document)
      return value === undefined || isNull(value) ? undefined : value
    }
    if (isMap(node) || isSeq(node)) return node
    return isScalar(node) && !isNull(node) ? node : undefined
  }

  /** Reports keys that a mapping has twice, aliases without an anchor, and bottomless nesting. */
  #checkKeys(node: unknown, depth: number): void {
    if (isAlias(node)) {
      if (node.resolve(this.#document) !== undefined) return
      this.#report.error(
        'syntax',
        this.position(node, START),
        'unknown anchor referenced',
        "a text that begins with '*' needs quotes",
      )
    }
    if (!isCollection(node)) return
    if (depth > DEPTH_MAX) {
      this.#report.error(
        'syntax',
        this.position(node, START),
        SYNTAX_ERRORS.RESOURCE_EXHAUSTION,
        hintFor('RESOURCE_EXHAUSTION'),
      )
      return
    }
    const firstLines = new Map<string, number>()
    for (const item of node.items) {
      if (isPair(item) && isScalar(item.key)) this.#checkKey(item.key, firstLines)
      this.#checkKeys(isPair(item) ? item.value : item, depth + 1)
    }
  }

  #checkKey(key: Scalar, firstLines: Map<string, number>): void {
    const name = String(key.value)
    const position = this.position(key, START)
    const firstLine = firstLines.get(name)
    firstLines.set(name, firstLine ?? position.line)
    if (firstLine === undefined || (name === '<<' && key.type === 'PLAIN')) return
    const message = `mapping key ${JSON.stringify(displayKey(name))} already defined at line ${firstLine}`
    this.#report.error('type', position, message, 'remove one of them')
  }
}

/** A key as messages show it: in `{password:secret}` the blank is missing, and all of it is a key. */
export function displayKey(key: string): string {
  const [start = ''] = key.split(/:(?=[^/])/, 1)
  return start.length < key.length || start.length > 80 ? `${start.slice(0, 80)}…` : start
}

function isNode(node: unknown): node is Node {
  return isScalar(node) || isCollection(node) || isAlias(node)
}

function isNull(node: Node): boolean {
  return isScalar(node) && node.value === null
}

function place(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}
