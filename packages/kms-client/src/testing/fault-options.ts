/**
 * Faults as a test describes them, in TypeScript or in JSON. All of them hold until they are cleared, or for the next
 * `times` requests that they match.
 */
import type { RequestFilter } from './matching.ts'

const { validateHeaderName, validateHeaderValue } = process.getBuiltinModule('node:http')

export interface FaultScope extends RequestFilter {
  /** How many of the matching requests it hits; then it is over. Default: all, until it is cleared. */
  readonly times?: number | undefined
  /** Which share of the matching requests it hits, above 0 and up to 1; the seed decides which ones. Default: 1. */
  readonly probability?: number | undefined
}

export interface LatencyOptions extends FaultScope {
  /** How long a request waits before the server hears of it. */
  readonly ms: number
  /** And up to so much longer, evenly spread by the seed. */
  readonly jitterMs?: number | undefined
}

export interface ResetOptions extends FaultScope {
  /**
   * `answer`, the default: the server has acted, and the connection is reset in the middle of its answer.
   * `request`: it is reset before the server hears of the request.
   */
  readonly at?: 'answer' | 'request' | undefined
}

export interface HangOptions extends FaultScope {
  /**
   * `request`, the default: there is no answer until the fault is cleared.
   * `connection`: nothing goes through any connection, the handshake of a new one included, as if the network were
   * cut. All of them are meant then: no path, method, number or probability can be given.
   */
  readonly at?: 'request' | 'connection' | undefined
}

export interface ErrorOptions extends FaultScope {
  /** From 400 to 599. */
  readonly status: number
  /** A text is sent as it is, anything else as JSON. Default: `{"message":…}` with the words of the status. */
  readonly body?: unknown
  /** By their names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface ThrottleOptions extends FaultScope {
  /** Of the body of each answer. */
  readonly bytesPerSecond: number
}

export type FaultOptions =
  | ({ readonly kind: 'latency' } & LatencyOptions)
  | { readonly kind: 'refuse' }
  | ({ readonly kind: 'reset' } & ResetOptions)
  | ({ readonly kind: 'hang' } & HangOptions)
  | ({ readonly kind: 'error' } & ErrorOptions)
  | ({ readonly kind: 'throttle' } & ThrottleOptions)

export type FaultKind = FaultOptions['kind']

const SCOPE = ['paths', 'methods', 'times', 'probability']
const FIELDS: Readonly<Record<FaultKind, readonly string[]>> = {
  latency: ['ms', 'jitterMs', ...SCOPE],
  refuse: [],
  reset: ['at', ...SCOPE],
  hang: ['at', ...SCOPE],
  error: ['status', 'body', 'headers', ...SCOPE],
  throttle: ['bytesPerSecond', ...SCOPE],
}

/** Of the connection in HTTP/1.1, and unknown to HTTP/2 (RFC 9113, section 8.2.2). */
const CONNECTION_HEADERS = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
]

/** Longer than any test; setTimeout takes no more than 2^31 - 1. */
const DELAY_MS_MAX = 3_600_000

/**
 * Checks what a test, or a program in another language, has written.
 *
 * @throws TypeError that says what is wrong.
 */
export function checkFault(value: unknown): FaultOptions {
  if (!isRecord(value)) throw new TypeError('a fault is an object with a `kind`')
  const kind = Object.keys(FIELDS).find((each): each is FaultKind => each === value.kind)
  if (kind === undefined) {
    throw new TypeError(`${shown(value.kind)} is no kind of fault: ${Object.keys(FIELDS).join(', ')}`)
  }
  const fault = new Fields(kind, value)
  fault.onlyHas(FIELDS[kind])
  fault.texts('paths')
  fault.texts('methods')
  fault.number('times', { isWhole: true, min: 1 })
  fault.number('probability', { above: 0, max: 1 })
  switch (kind) {
    case 'latency':
      fault.number('ms', { isRequired: true, min: 0, max: DELAY_MS_MAX })
      fault.number('jitterMs', { min: 0, max: DELAY_MS_MAX })
      break
    case 'reset':
      fault.choice('at', ['answer', 'request'])
      break
    case 'hang':
      fault.choice('at', ['request', 'connection'])
      if (value.at === 'connection') fault.onlyHas(['at'], ' at a connection')
      break
    case 'error':
      fault.number('status', { isRequired: true, isWhole: true, min: 400, max: 599 })
      fault.json('body')
      fault.headers('headers')
      break
    case 'throttle':
      fault.number('bytesPerSecond', { isRequired: true, above: 0 })
      break
    case 'refuse':
      break
  }
  // Every field has been looked at.
  return value as unknown as FaultOptions
}

/** @throws TypeError */
export function checkFilter(value: Readonly<Record<string, unknown>>): RequestFilter {
  const filter = new Fields('a filter', value)
  filter.onlyHas(['paths', 'methods'])
  filter.texts('paths')
  filter.texts('methods')
  return value
}

interface NumberRule {
  readonly isRequired?: boolean
  readonly isWhole?: boolean
  readonly min?: number
  readonly above?: number
  readonly max?: number
}

class Fields {
  readonly #subject: string
  readonly #value: Readonly<Record<string, unknown>>

  constructor(subject: string, value: Readonly<Record<string, unknown>>) {
    this.#subject = subject
    this.#value = value
  }

  /** A field that is there and undefined is not there. */
  onlyHas(names: readonly string[], where = ''): void {
    const found = Object.keys(this.#value).filter((name) => this.#value[name] !== undefined)
    const unknown = found.find((name) => name !== 'kind' && !names.includes(name))
    if (unknown !== undefined) throw this.#error(`has no \`${unknown}\`${where}`)
  }

  texts(name: string): void {
    const value = this.#value[name]
    if (value === undefined || typeof value === 'string') return
    if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return
    throw this.#error(`\`${name}\` is a text, or an array of texts`)
  }

  number(name: string, rule: NumberRule): void {
    const { isRequired = false, isWhole = false, min, above, max } = rule
    const value = this.#value[name]
    if (value === undefined && !isRequired) return
    const isRight =
      typeof value === 'number' &&
      Number.isFinite(value) &&
      (!isWhole || Number.isInteger(value)) &&
      (min === undefined || value >= min) &&
      (above === undefined || value > above) &&
      (max === undefined || value <= max)
    if (isRight) return
    const bounds = [
      ...(min === undefined ? [] : [`from ${min}`]),
      ...(above === undefined ? [] : [`above ${above}`]),
      ...(max === undefined ? [] : [`up to ${max}`]),
    ]
    const kind = isWhole ? 'whole number' : 'number'
    throw this.#error(`\`${name}\` is a ${kind} ${bounds.join(' ')}, not ${shown(value)}`)
  }

  choice(name: string, choices: readonly string[]): void {
    const value = this.#value[name]
    if (value === undefined || choices.some((choice) => choice === value)) return
    throw this.#error(`\`${name}\` is ${choices.join(' or ')}, not ${shown(value)}`)
  }

  json(name: string): void {
    const value = this.#value[name]
    if (value !== undefined && JSON.stringify(value) === undefined)
      throw this.#error(`\`${name}\` is not JSON`)
  }

  /** What one of the two versions of HTTP can't send would end the server. */
  headers(name: string): void {
    const value = this.#value[name]
    if (value === undefined) return
    if (!isRecord(value)) throw this.#error(`\`${name}\` is an object of texts`)
    for (const [header, text] of Object.entries(value)) {
      if (typeof text !== 'string') throw this.#error(`\`${name}\` is an object of texts`)
      if (header !== header.toLowerCase())
        throw this.#error(`the header '${header}' is written in lower case`)
      if (CONNECTION_HEADERS.includes(header))
        throw this.#error(`the header '${header}' is not that of an answer`)
      validateHeaderName(header)
      validateHeaderValue(header, text)
    }
  }

  #error(problem: string): TypeError {
    return new TypeError(`${this.#subject}: ${problem}`)
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
