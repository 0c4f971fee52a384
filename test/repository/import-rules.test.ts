// The layers of ARCHITECTURE.md, kept true over the import lines of the source.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const SERVER = 'packages/kes-server/src'
const CLIENT = 'packages/kms-client/src'
const NODE = 'packages/storage-node/src'
const CONSOLE = 'packages/console/server'
const PAGE = 'packages/console/page'
const PLAY = 'packages/play/src'

interface Import {
  /** Path from the root of the repository. */
  readonly from: string
  /** The same for a file of this repository; else the name of the package. */
  readonly to: string
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(?:[jt]s|tsx)$/.test(name) && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;'"]*?\bfrom\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|(?:^|\n)import\s+['"]([^'"]+)['"]/g

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return [...text.matchAll(IMPORT)].map((match) => {
    const target = match[1] ?? match[2] ?? match[3] ?? ''
    const to = target.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), target)) : target
    return { from: file, to }
  })
}

const server = sourceFiles(SERVER).flatMap(importsOf)
const client = sourceFiles(CLIENT).flatMap(importsOf)
const node = sourceFiles(NODE).flatMap(importsOf)
const webConsole = sourceFiles(CONSOLE).flatMap(importsOf)
const page = sourceFiles(PAGE).flatMap(importsOf)
const play = sourceFiles(PLAY).flatMap(importsOf)

/** The folder below `src`, or the file itself where it stands in `src`. */
function stageOf(path: string): string {
  return relative(SERVER, path).split('/')[0] ?? ''
}

/** A request goes down this list, and never back up. */
const STAGES = ['tls', 'identity', 'policy', 'operations', 'keyring', 'journal', 'seal', 'store']
/** Words and formats that every stage speaks. */
const EVERYWHERE = ['errors.ts', 'message-of.ts', 'names.ts', 'encoding']
/** These connect the stages, and so know more than the next one. */
const CONNECTORS = [
  'server.ts',
  'single-process.ts',
  'several-processes.ts',
  'running-server.ts',
  'rules.ts',
  'core.ts',
  'memory-server.ts',
  'open-store.ts',
  'inspect-store.ts',
  'index.ts',
  'main.js',
  'cli',
  'http',
  'workers',
  'console',
]

function shown(imports: readonly Import[]): string[] {
  return imports.map(({ from, to }) => `${from} imports ${to}`)
}

test('the rules look at a source that has imports', () => {
  expect(server.length).toBeGreaterThan(200)
  expect(client.length).toBeGreaterThan(50)
})

test('a stage imports only the stages behind it', () => {
  const wrong = server.filter(({ from, to }) => {
    const stage = STAGES.indexOf(stageOf(from))
    if (stage < 0 || !to.startsWith(SERVER)) return false
    const target = stageOf(to)
    return !EVERYWHERE.includes(target) && STAGES.indexOf(target) < stage && !isAllowedBesides(from, target)
  })
  expect(shown(wrong)).toEqual([])
})

/** Operations whose subject is another part of the server. */
const SUBJECTS: Readonly<Record<string, string>> = {
  'operations/backup.ts': 'backup',
  'operations/server-status.ts': 'metrics',
  'operations/policies.ts': 'policy',
  'operations/identities.ts': 'policy',
}

function isAllowedBesides(from: string, target: string): boolean {
  return SUBJECTS[relative(SERVER, from)] === target
}

test('what every stage imports rests on nothing but itself', () => {
  const wrong = server.filter(
    ({ from, to }) =>
      EVERYWHERE.includes(stageOf(from)) && to.startsWith(SERVER) && !EVERYWHERE.includes(stageOf(to)),
  )
  expect(shown(wrong)).toEqual([])
})

test('only connectors import connectors', () => {
  const wrong = server.filter(
    ({ from, to }) =>
      to.startsWith(SERVER) && CONNECTORS.includes(stageOf(to)) && !CONNECTORS.includes(stageOf(from)),
  )
  expect(shown(wrong)).toEqual([])
})

test('fastify is known to the HTTP side alone', () => {
  const wrong = server.filter(({ from, to }) => to === 'fastify' && stageOf(from) !== 'http')
  expect(shown(wrong)).toEqual([])
})

test('the store sees no cryptography', () => {
  const wrong = server.filter(({ from, to }) => stageOf(from) === 'store' && /^node:crypto$/.test(to))
  expect(shown(wrong)).toEqual([])
})

test('SQLite is known to the store alone', () => {
  const wrong = server.filter(({ from, to }) => to === 'better-sqlite3' && stageOf(from) !== 'store')
  expect(shown(wrong)).toEqual([])
})

test('the keys that open a store are known to the seal, the key ring, backups and the processes that share it', () => {
  const allowed = ['seal', 'keyring', 'backup', 'open-store.ts', 'inspect-store.ts', 'core.ts', 'workers']
  const wrong = server.filter(
    ({ from, to }) =>
      to.startsWith(join(SERVER, 'seal')) &&
      !allowed.includes(stageOf(from)) &&
      !/(?:seal-errors|passphrase-cost|passphrase-file|stored-key)\.ts$/.test(to),
  )
  expect(shown(wrong)).toEqual([])
})

test("the client's exports are its folders that have an index, and itself", () => {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'packages/kms-client/package.json'), 'utf8'))
  const indexes = sourceFiles(CLIENT)
    .filter((file) => file.endsWith('/index.ts'))
    .map((file) => {
      const folder = relative(CLIENT, dirname(file))
      return [folder === '' ? '.' : `./${folder}`, `./${relative('packages/kms-client', file)}`]
    })
  expect(Object.fromEntries(indexes)).toEqual(exports)
})

test('the client knows nothing of the server, but for the harness, which loads it by its name', () => {
  const naming = sourceFiles(CLIENT).filter((file) => codeNames(file, '@latchkey/kes-server'))
  expect(naming).toEqual([join(CLIENT, 'testing/key-server.ts')])
  expect(shown(client.filter(({ to }) => to === '@latchkey/kes-server'))).toEqual([])
})

/** Whether a file has this text outside of its comments. */
function codeNames(file: string, text: string): boolean {
  const comments = /\/\*[\s\S]*?\*\/|\/\/.*$/gm
  return readFileSync(join(ROOT, file), 'utf8').replace(comments, '').includes(text)
}

test('the client is complete without its harness', () => {
  const wrong = client.filter(
    ({ from, to }) => !from.startsWith(join(CLIENT, 'testing')) && to.startsWith(join(CLIENT, 'testing')),
  )
  expect(shown(wrong)).toEqual([])
})

test('of the client, the server uses the public part, and that only on the command line', () => {
  const PUBLIC = ['@latchkey/kms-client', '@latchkey/kms-client/testing']
  const wrong = server.filter(
    ({ from, to }) =>
      to.startsWith(CLIENT) ||
      (to.startsWith('@latchkey/') &&
        to !== '@latchkey/console' &&
        (stageOf(from) !== 'cli' || !PUBLIC.includes(to))),
  )
  expect(shown(wrong)).toEqual([])
})

test('the server loads the console by its name, and knows its types where it does', () => {
  const importing = server.filter(({ to }) => to === '@latchkey/console').map(({ from }) => from)
  expect(importing).toEqual([`${SERVER}/console/load-console.ts`, `${SERVER}/console/server-console.ts`])
  for (const file of importing) {
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n')
    const named = lines.filter((line) => /from '@latchkey\/console'/.test(line))
    expect(named.every((line) => line.startsWith('import type '))).toBe(true)
  }
})

test('the console knows no other package, and its server nothing of the page', () => {
  const wrong = webConsole.filter(
    ({ to }) => to.startsWith('@latchkey/') || (to.startsWith('packages/') && !to.startsWith(CONSOLE)),
  )
  expect(webConsole.length).toBeGreaterThan(20)
  expect(shown(wrong)).toEqual([])
})

/** What each folder of the page may import of the others. */
const PAGE_PARTS: Readonly<Record<string, readonly string[]>> = {
  text: [],
  net: ['text'],
  state: ['net', 'text'],
  parts: ['state', 'net', 'text'],
  views: ['parts', 'state', 'net', 'text'],
}

test('the page rests on Preact and itself, and shows what it knows, never the other way round', () => {
  const partOf = (path: string) => relative(PAGE, path).split('/')[0] ?? ''
  const wrong = page.filter(({ from, to }) => {
    if (!to.startsWith(PAGE)) return !/^(?:preact(?:\/hooks)?|@preact\/signals)$/.test(to)
    const allowed = PAGE_PARTS[partOf(from)]
    return allowed !== undefined && partOf(to) !== partOf(from) && !allowed.includes(partOf(to))
  })
  expect(page.length).toBeGreaterThan(100)
  expect(shown(wrong)).toEqual([])
})

test('of the other packages, the storage node uses the public part of the client', () => {
  const wrong = node.filter(
    ({ to }) => to.startsWith('@latchkey/') && !/^@latchkey\/kms-client(?:\/kms)?$/.test(to),
  )
  expect(shown(wrong)).toEqual([])
})

test('the sandbox embeds no program: of the other packages it imports the client alone', () => {
  const wrong = play.filter(({ to }) => to.startsWith('@latchkey/') && to !== '@latchkey/kms-client')
  expect(shown(wrong)).toEqual([])
})

/** What each part of the node below the S3 side may import of the others. */
const NODE_PARTS: Readonly<Record<string, readonly string[]>> = {
  dare: ['memory'],
  disk: [],
  sse: ['dare', 'memory'],
  backend: [],
}

test('of the storage node, the format knows no keys, the keys no files, and the files neither', () => {
  const partOf = (path: string) => relative(NODE, path).split('/')[0] ?? ''
  const wrong = node.filter(({ from, to }) => {
    const allowed = NODE_PARTS[partOf(from)]
    if (allowed === undefined || !to.startsWith(NODE)) return false
    return partOf(to) !== partOf(from) && !allowed.includes(partOf(to))
  })
  expect(shown(wrong)).toEqual([])
})

test('the client needs no other package', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'packages/kms-client/package.json'), 'utf8'))
  expect(manifest.dependencies).toBeUndefined()
})

/** Node gives an `import` of it all exports at once, also those for which it loads undici first: 30 ms a process. */
test("'node:http' is taken with process.getBuiltinModule, and its types are imported", () => {
  const files = [SERVER, CLIENT, NODE, CONSOLE].flatMap(sourceFiles)
  const wrong = files.filter((file) =>
    /^import (?!type\b)[^;'"]*['"]node:http['"]/m.test(readFileSync(join(ROOT, file), 'utf8')),
  )
  expect(wrong).toEqual([])
})

test('no file reaches into another package by path', () => {
  const wrong = [...server, ...client, ...node, ...play].filter(
    ({ from, to }) => to.startsWith('packages/') && !to.startsWith(from.split('/').slice(0, 3).join('/')),
  )
  expect(shown(wrong)).toEqual([])
})
