/**
 * Config files of earlier KES releases: what they wrote elsewhere, or under another name, is moved to where it stands
 * today before the file is read, with a warning that names today's spelling.
 *
 * The last KES ignores the old spellings. So where a file has today's as well, today's counts, and the old one is
 * ignored here, too.
 */
import { isMap, isNode, isScalar, isSeq, Pair, Scalar, YAMLMap } from 'yaml'
import type { Position } from './problem.ts'
import type { Report } from './report.ts'
import type { Value, YamlSource } from './yaml-source.ts'

type Path = readonly string[]

/** Stores of KES's releases before `keystore` was the section's name, as `keys` or the file itself had them. */
const STORES_ONCE_IN_KEYS = ['fs', 'vault', 'aws', 'gcp', 'azure', 'gemalto', 'fortanix', 'etcd', 'generic']
const STORES_ONCE_AT_TOP = ['fs', 'vault', 'aws']

/** From a path to another, `*` being any name; in the order in which they are applied. */
const MOVED: readonly (readonly [from: string, to: string])[] = [
  ...STORES_ONCE_AT_TOP.map((store) => [store, `keystore.${store}`] as const),
  ...STORES_ONCE_IN_KEYS.map((store) => [`keys.${store}`, `keystore.${store}`] as const),
  ['root', 'admin.identity'],
  ['policy.*.paths', 'policy.*.allow'],
  ['cache.expiry.all', 'cache.expiry.any'],
  ['keystore.vault.address', 'keystore.vault.endpoint'],
  ['keystore.vault.name', 'keystore.vault.prefix'],
  ['keystore.aws.secrets_manager', 'keystore.aws.secretsmanager'],
  ['keystore.aws.secretsmanager.address', 'keystore.aws.secretsmanager.endpoint'],
  ['keystore.aws.secretsmanager.kms_key_id', 'keystore.aws.secretsmanager.kmskey'],
  ...[
    ['access_key', 'accesskey'],
    ['secret_key', 'secretkey'],
    ['session_token', 'token'],
  ].map(([then, today]) => {
    const credentials = 'keystore.aws.secretsmanager.credentials'
    return [`${credentials}.${then}`, `${credentials}.${today}`] as const
  }),
]

/** What has no successor, and why; whoever reads these sections refuses them. */
export const GONE: Readonly<Record<string, string>> = {
  kms: 'it encrypted keys before they were stored; no release of KES since May 2020 can read such keys',
  'keystore.etcd':
    "KES had the store 'etcd' in April 2020 alone: move its keys to another store with that release",
  'keystore.generic':
    "the store 'generic', a plugin, is gone since KES of 2023: move its keys with a release before",
  'keystore.kes': "the store 'kes', another KES, is gone since KES of 2023: name that server's own store",
}

/** Moves every old spelling of the file to today's. */
export function modernize(source: YamlSource, report: Report): void {
  const root = source.root()
  if (!isMap(root)) return
  const file = new OldFile(source, report, root)
  for (const [from, to] of MOVED) file.move(from.split('.'), to.split('.'))
  for (const log of ['error', 'audit']) file.replaceLogFiles(log)
}

class OldFile {
  readonly #source: YamlSource
  readonly #report: Report
  readonly #root: YAMLMap
  /** Then a store that stands elsewhere is none, as for the last KES. */
  readonly #hasKeystore: boolean

  constructor(source: YamlSource, report: Report, root: YAMLMap) {
    this.#source = source
    this.#report = report
    this.#root = root
    this.#hasKeystore = this.#valueAt(root, 'keystore') !== undefined
  }

  move(from: Path, to: Path): void {
    for (const [start, end] of this.#places(from, to)) this.#moveOne(start, end)
  }

  /** `log.error.file` and `log.audit.file` were lists of paths; our own `log.audit.file` is one path. */
  replaceLogFiles(log: string): void {
    const parent = this.#mapAt(['log'])
    const mapping = this.#mapAt(['log', log])
    const pair = parent === undefined ? undefined : pairOf(parent, log)
    if (pair === undefined || mapping?.items.length !== 1 || !isSeq(this.#valueAt(mapping, 'file'))) return
    const position = this.#positionOf(mapping, 'file')
    pair.value = placed(new Scalar('on'), pair.value)
    const stream = log === 'error' ? 'standard error' : 'standard output'
    this.#report.advise(
      position,
      `'log.${log}.file' is an old spelling`,
      `write 'log.${log}: on': the log goes to the ${stream}, and to no file`,
    )
  }

  #moveOne(from: Path, to: Path): void {
    const name = from.at(-1) ?? ''
    const parent = this.#mapAt(from.slice(0, -1))
    const pair = parent === undefined ? undefined : pairOf(parent, name)
    if (parent === undefined || pair === undefined) return
    const position = this.#positionOf(parent, name)
    const spelling = `'${from.join('.')}' is an old spelling`
    const rival = this.#rivalOf(to)
    parent.items.splice(parent.items.indexOf(pair), 1)
    if (from[0] === 'keys' && parent.items.length === 0) this.#root.delete('keys')
    if (rival !== undefined) {
      this.#report.warn(position, `${spelling}, and is ignored beside '${rival}'`, 'remove it')
      return
    }
    const today = placed(new Scalar(to.at(-1)), pair.key)
    const section = this.#sectionAt(to.slice(0, -1), pair)
    section?.delete(to.at(-1)) // It says nothing there, or it were the rival.
    section?.items.push(new Pair(today, pair.value))
    this.#report.advise(position, spelling, `write '${to.join('.')}'`)
  }

  /** What the file has in the place of `to`, if anything. */
  #rivalOf(to: Path): string | undefined {
    if (to[0] === 'keystore' && to.length === 2 && this.#hasKeystore) return 'keystore'
    const parent = this.#mapAt(to.slice(0, -1))
    const value = parent === undefined ? undefined : this.#valueAt(parent, to.at(-1) ?? '')
    return value === undefined ? undefined : to.join('.')
  }

  /** Both paths with the names that the file has for `*`. */
  #places(from: Path, to: Path): (readonly [Path, Path])[] {
    const any = from.indexOf('*')
    if (any < 0) return [[from, to]]
    const names = [...(this.#mapAt(from.slice(0, any))?.items ?? [])].map(({ key }) => String(key))
    return names.map((name) => [from.with(any, name), to.with(any, name)] as const)
  }

  #mapAt(path: Path): YAMLMap | undefined {
    let value: Value = this.#root
    for (const name of path) {
      if (!isMap(value)) return undefined
      value = this.#valueAt(value, name)
    }
    return isMap(value) ? value : undefined
  }

  /** Makes the sections that are not there, in the place of `origin`; `undefined` if the file has no mapping there. */
  #sectionAt(path: Path, origin: Pair): YAMLMap | undefined {
    let map = this.#root
    for (const name of path) {
      const value = this.#valueAt(map, name)
      if (value !== undefined && !isMap(value)) return undefined
      const next: YAMLMap = value ?? placed(new YAMLMap(), origin.key)
      if (value === undefined) map.set(placed(new Scalar(name), origin.key), next)
      map = next
    }
    return map
  }

  #valueAt(map: YAMLMap, name: string): Value {
    return this.#source.valueOf(pairOf(map, name)?.value)
  }

  #positionOf(map: YAMLMap, name: string): Position {
    return this.#source.position(pairOf(map, name)?.key, { line: 1, column: 1 })
  }
}

function pairOf(map: YAMLMap, name: string): Pair | undefined {
  return map.items.find(({ key }) => isScalar(key) && String(key.value) === name)
}

/** The node, as if it stood where `origin` does. */
function placed<Made extends Scalar | YAMLMap>(node: Made, origin: unknown): Made {
  node.range = (isNode(origin) ? origin.range : undefined) ?? null
  return node
}
