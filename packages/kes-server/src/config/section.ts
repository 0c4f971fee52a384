/**
 * One mapping of the config file, read field by field.
 *
 * Every read reports what is wrong with its field and then answers as if the field were not there; a section
 * that the file does not have reads as an empty one. So the code that checks a section never stops early.
 */
import { isMap, isScalar, isSeq, type Scalar } from 'yaml'
import { parsePeriod } from '../encoding/period.ts'
import { parseDuration } from './duration.ts'
import { type Environment, referencedVariable } from './env.ts'
import type { Position } from './problem.ts'
import type { Report, Stage } from './report.ts'
import { Secret } from './secret.ts'
import type { Field, Value, YamlSource } from './yaml-source.ts'

export interface Sources {
  readonly yaml: YamlSource
  readonly env: Environment
  readonly report: Report
  /** Reads a file that the config names; throws what `node:fs` does. */
  readonly readFile: (path: string) => string
  /** Where each field stands, by dotted path; filled while sections are read. */
  readonly positions: Map<string, Position>
}

/** An element of a list. */
export interface Item {
  readonly text: string
  readonly position: Position
}

interface Text extends Item {
  /** What Go's decoder calls the value: `!!str`, `!!int` … */
  readonly tag: string
  readonly isPlain: boolean
  /** Whether it is the value of an environment variable. */
  readonly isReplaced: boolean
}

/** What to write where a value has another form. */
const FORMS: Readonly<Record<string, string>> = {
  string: 'write a single value',
  '[]string': "write a list: '[a, b]', or a line '- a' for each",
  '[]map': "write a list: a line '- name: …' for each",
  map: 'write its fields below it, indented',
  'kesconf.ymlFile': "begin with a section, such as 'admin:'",
}

const WRONG = Symbol('wrong, and reported')

const TRUE = /^(?:true|yes|on|y)$/i
const FALSE = /^(?:false|no|off|n)$/i

export class Section {
  readonly path: string
  readonly position: Position
  /** Whether the file says something here, be it an empty mapping. */
  readonly isPresent: boolean
  /** Whether what it says is no mapping; reported already. */
  readonly isWrong: boolean
  readonly #sources: Sources
  readonly #fields: ReadonlyMap<string, Field>
  readonly #sections = new Map<string, Section>() // Each reports its wrong type once.

  private constructor(sources: Sources, path: string, position: Position, value: Value) {
    this.path = path
    this.position = position
    this.#sources = sources
    this.isPresent = value !== undefined
    this.isWrong = value !== undefined && !isMap(value)
    this.#fields = isMap(value) ? sources.yaml.fields(value) : new Map()
    for (const [name, field] of this.#fields) sources.positions.set(join(path, name), field.position)
    if (!this.isWrong) return
    const isRoot = path === '' // Anywhere else a value in a section's place may be a secret.
    this.#wrongType(value, position, isRoot ? 'kesconf.ymlFile' : 'map', isRoot)
  }

  /** The whole file. */
  static root(sources: Sources): Section {
    const root = sources.yaml.root()
    return new Section(sources, '', sources.yaml.position(root, { line: 1, column: 1 }), root)
  }

  get names(): readonly string[] {
    return [...this.#fields.keys()]
  }

  /** Whether the field has a value; `null` is none. */
  has(name: string): boolean {
    return this.#fields.get(name)?.value !== undefined
  }

  isList(name: string): boolean {
    return isSeq(this.#fields.get(name)?.value)
  }

  isMapping(name: string): boolean {
    return isMap(this.#fields.get(name)?.value)
  }

  /** Where to point at for a problem with the field: its value, or the section that lacks it. */
  positionOf(name: string): Position {
    return this.#fields.get(name)?.position ?? this.position
  }

  keyPositionOf(name: string): Position {
    return this.#fields.get(name)?.keyPosition ?? this.position
  }

  section(name: string): Section {
    const known = this.#sections.get(name)
    if (known !== undefined) return known
    const field = this.#fields.get(name)
    const position = field?.keyPosition ?? this.position
    const section = new Section(this.#sources, join(this.path, name), position, field?.value)
    this.#sections.set(name, section)
    return section
  }

  /** A list of mappings. */
  sections(name: string): Section[] {
    const path = join(this.path, name)
    return this.#items(name, '[]map').map(
      (item, index) => new Section(this.#sources, `${path}[${index}]`, item.position, item.value),
    )
  }

  /** `undefined` if the field is not there, empty, or wrong. */
  text(name: string): string | undefined {
    const read = this.#read(name)
    return read === undefined || read === WRONG || read.text === '' ? undefined : read.text
  }

  /** The field's text. Without one, an empty text, and the error `missing` unless another one was reported. */
  required(name: string, stage: Stage, missing: string): string {
    const read = this.#read(name)
    if (read === WRONG) return ''
    const text = read?.text ?? ''
    if (text === '' && !this.isWrong) {
      const field = join(this.path, name)
      const hint = this.has(name) ? `give '${field}' a value` : `add '${field}'`
      this.#sources.report.error(stage, this.positionOf(name), missing, hint)
    }
    return text
  }

  secret(name: string): Secret | undefined {
    const text = this.text(name)
    return text === undefined ? undefined : new Secret(text)
  }

  requiredSecret(name: string, stage: Stage, missing: string): Secret {
    return new Secret(this.required(name, stage, missing))
  }

  /** A scalar without environment variables; `undefined` if there is no value or no scalar. */
  literal(name: string): string | undefined {
    const value = this.#fields.get(name)?.value
    return isScalar(value) ? textOf(value) : undefined
  }

  /** False unless the file says true, in any spelling of YAML 1.1. */
  boolean(name: string): boolean {
    const read = this.#read(name)
    if (read === undefined || read === WRONG || (read.isReplaced && read.text === '')) return false
    const isTrue = TRUE.test(read.text)
    if ((read.isPlain || read.isReplaced) && (isTrue || FALSE.test(read.text))) return isTrue
    this.#reportType(read, 'bool', 'write true or false')
    return false
  }

  /** 0 if the field is not there, as in Go. */
  duration(name: string): bigint {
    const read = this.#read(name)
    if (read === undefined || read === WRONG || read.text === '') return 0n
    const duration = read.tag === '!!str' ? parseDuration(read.text) : undefined
    if (duration !== undefined) return duration
    this.#reportType(read, 'time.Duration', "write it with a unit: '5m', '30s', '1h30m'")
    return 0n
  }

  /** Milliseconds; 0 if the field is not there. */
  period(name: string): number {
    const read = this.#read(name)
    if (read === undefined || read === WRONG || read.text === '') return 0
    const ms = parsePeriod(read.text)
    if (ms !== undefined) return ms
    this.#reportType(read, 'time.Duration', "write it with a unit, up to 3650d: '7d', '36h'")
    return 0
  }

  /** A whole number from `min` to `max`. */
  integer(name: string, min: number, max: number): number | undefined {
    const read = this.#read(name)
    if (read === undefined || read === WRONG || read.text === '') return undefined
    const value = /^\d+$/.test(read.text) ? Number(read.text) : Number.NaN
    if (value >= min && value <= max) return value
    this.#reportType(read, 'int', `write a number from ${min} to ${max}`)
    return undefined
  }

  /** A list of texts, its `null`s as empty ones. */
  list(name: string): Item[] {
    return this.#texts(name, true)
  }

  /** A list of texts in which `${NAME}` stands for itself. */
  literalList(name: string): Item[] {
    return this.#texts(name, false)
  }

  error(stage: Stage, position: Position, message: string, hint?: string): void {
    this.#sources.report.error(stage, position, message, hint)
  }

  warn(position: Position, message: string, hint?: string): void {
    this.#sources.report.warn(position, message, hint)
  }

  /** A warning that no strictness makes an error. */
  advise(position: Position, message: string, hint?: string): void {
    this.#sources.report.advise(position, message, hint)
  }

  /** @throws what `node:fs` does. */
  readFile(path: string): string {
    return this.#sources.readFile(path)
  }

  #texts(name: string, isReplaced: boolean): Item[] {
    const items: Item[] = []
    for (const { value, position } of this.#items(name, '[]string')) {
      if (value === undefined) items.push({ text: '', position })
      else if (!isScalar(value)) this.#wrongType(value, position, 'string', false)
      else if (!isReplaced) items.push({ text: textOf(value), position })
      else {
        const text = this.#replace(textOf(value), position)
        if (text !== WRONG) items.push({ text, position })
      }
    }
    return items
  }

  #items(name: string, type: string): { readonly value: Value; readonly position: Position }[] {
    const field = this.#fields.get(name)
    if (field?.value === undefined) return []
    if (isSeq(field.value)) return this.#sources.yaml.items(field.value, field.position)
    this.#wrongType(field.value, field.position, type, false)
    return []
  }

  #read(name: string): Text | typeof WRONG | undefined {
    const field = this.#fields.get(name)
    if (field?.value === undefined) return undefined
    if (!isScalar(field.value)) {
      this.#wrongType(field.value, field.position, 'string', false)
      return WRONG
    }
    const written = textOf(field.value)
    const text = this.#replace(written, field.position)
    if (text === WRONG) return WRONG
    const isReplaced = referencedVariable(written) !== undefined
    return {
      text,
      position: field.position,
      tag: isReplaced ? '!!str' : tagOf(field.value),
      isPlain: field.value.type === 'PLAIN' && !isReplaced,
      isReplaced,
    }
  }

  #replace(text: string, position: Position): string | typeof WRONG {
    const variable = referencedVariable(text)
    if (variable === undefined) return text
    const value = Object.hasOwn(this.#sources.env, variable) ? this.#sources.env[variable] : undefined
    if (value !== undefined) return value
    const message = `kesconf: referenced env. variable '${variable}' in line '${position.line}' not found`
    this.error('environment', position, message, 'set the variable, or write the value here')
    return WRONG
  }

  #reportType(read: Text, type: string, hint: string): void {
    this.error('type', read.position, `cannot unmarshal ${read.tag} ${quote(read.text)} into ${type}`, hint)
  }

  #wrongType(value: Value, position: Position, type: string, isShown: boolean): void {
    const shown = isShown && isScalar(value) ? ` ${quote(textOf(value))}` : ''
    this.error('type', position, `cannot unmarshal ${tagOf(value)}${shown} into ${type}`, FORMS[type])
  }
}

/** Go's decoder gets a scalar as it is written, `0x10` and `on` too. */
function textOf(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value)
}

function tagOf(value: Value): string {
  if (isMap(value)) return '!!map'
  if (isSeq(value)) return '!!seq'
  if (typeof value?.value === 'boolean') return '!!bool'
  if (typeof value?.value !== 'number') return '!!str'
  return Number.isInteger(value.value) ? '!!int' : '!!float'
}

/** Go's decoder shows no more than 10 bytes of a value. */
function quote(text: string): string {
  return `\`${text.length > 10 ? `${text.slice(0, 7)}...` : text}\``
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}
