// What the documents say of the repository, and what no file of it may say.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import type { Io } from '../../packages/kes-server/src/cli/io.ts'
import { runCli } from '../../packages/kes-server/src/cli/program.ts'

const ROOT = resolve(import.meta.dirname, '../..')

interface TextFile {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

/** Committed files, and those that would be with the next commit. */
function repositoryFiles(): TextFile[] {
  const { stdout, status } = spawnSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  )
  expect(status).toBe(0)
  const paths = stdout.split('\0').filter((path) => path !== '' && existsSync(join(ROOT, path)))
  // As git does: what has a zero byte is no text.
  return paths
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
    .filter(({ text }) => !text.includes('\0'))
}

const files = repositoryFiles()
const documents = files.filter(({ path }) => path.endsWith('.md'))

/** The id that a heading gets when it is shown: lower case, without punctuation, with hyphens for spaces. */
function headingIds(text: string): string[] {
  return [...withoutCodeBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  )
}

function withoutCodeBlocks(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '')
}

/** Code blocks and code spans: what a reader may type. */
function codeOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```[\s\S]*?^```$/gm)].map(([block]) => block)
  const spans = [...withoutCodeBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)
  return [...blocks, ...spans]
}

test('the rules look at the repository', () => {
  expect(documents.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'docs/errors.md']),
  )
  expect(files.length).toBeGreaterThan(200)
})

test('every relative link leads to a file, and to a heading or an anchor if it names one', () => {
  const broken = documents.flatMap(({ path, text }) =>
    [...withoutCodeBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target) && !leadsSomewhere(path, target))
      .map((target) => `${path}: ${target}`),
  )
  expect(broken).toEqual([])
})

function leadsSomewhere(from: string, target: string): boolean {
  const [file = '', heading] = target.split('#')
  const path = file === '' ? from : relative(ROOT, resolve(ROOT, dirname(from), file))
  if (!existsSync(join(ROOT, path))) return false
  if (heading === undefined) return true
  const text = readFileSync(join(ROOT, path), 'utf8')
  return headingIds(text).includes(heading) || text.includes(`<a id="${heading}"></a>`)
}

test('every npm script that a document names exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const named = documents.flatMap(({ text }) =>
    codeOf(text).flatMap((code) =>
      [...code.matchAll(/\bnpm (?:run (\S+)|(start|test|stop|restart)\b)/g)].map(
        ([, script, shorthand]) => script ?? shorthand ?? '',
      ),
    ),
  )
  expect(named).toContain('start')
  expect(named.filter((script) => !Object.hasOwn(scripts, script))).toEqual([])
})

/** The help of a command, as it is printed. */
async function helpOf(words: readonly string[]): Promise<string> {
  let help = ''
  const unused = () => Promise.reject(new Error('help needs nothing of the world'))
  const io: Io = {
    env: {},
    stdout: { isTerminal: false, write: () => {} },
    stderr: {
      isTerminal: false,
      write(text) {
        help += text
      },
    },
    readStdin: unused,
    readPassword: unused,
    now: () => new Date(),
    interruption: new AbortController().signal,
    openClient: unused,
  }
  await runCli([...words, '--help'], io)
  return help
}

function subcommandsIn(help: string): string[] {
  const [, section = ''] = help.split('\nCommands:\n')
  const [list = ''] = section.split('\n\n')
  return [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name)
}

/** The commands of `kes`, and the commands of each. */
const commands = new Map<string, readonly string[]>()

beforeAll(async () => {
  for (const name of subcommandsIn(await helpOf([]))) {
    commands.set(name, subcommandsIn(await helpOf([name])))
  }
})

test('every kes command that a document names exists', () => {
  expect(commands.get('key')).toContain('disable')
  const unknown = documents
    .filter(({ path }) => path !== 'docs/differences.md')
    .flatMap(({ path, text }) =>
      codeOf(text)
        .flatMap((code) => [...code.matchAll(/(?:^|npx |[\s'"(])kes ([a-z]+)(?: ([a-z]+)\b(?![./-]))?/g)])
        .filter(([, name = '', sub]) => !isCommand(name, sub))
        .map(([match]) => `${path}: ${match.trim()}`),
    )
  expect(unknown).toEqual([])
})

function isCommand(name: string, sub: string | undefined): boolean {
  const subcommands = commands.get(name)
  if (subcommands === undefined) return false
  return sub === undefined || subcommands.length === 0 || subcommands.includes(sub)
}

test('every file that ARCHITECTURE.md names in the server exists', () => {
  const { text = '' } = documents.find(({ path }) => path === 'ARCHITECTURE.md') ?? {}
  const named = [...text.matchAll(/`([a-z0-9/-]+\.ts)`/g)].map(([, path = '']) => path)
  const sources = files.map(({ path }) => path)
  const missing = named.filter((name) => !sources.some((path) => path === name || path.endsWith(`/${name}`)))
  expect(named.length).toBeGreaterThan(20)
  expect(missing).toEqual([])
})

const FORBIDDEN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a path of one machine', /(?<![\w.~})-])\/(?:work|root|home|Users)(?![\w.-])/],
  ['the host of a package registry', /\bregistry\.[a-z0-9-]+\.[a-z]+|\bnpm(?:js|mirror)\.(?:org|com)\b/],
  ['a placeholder', /\b(?:TO[D]O|FIX[M]E|X[X]X|T[B]D)\b|lorem[ ]ipsum/],
]

test.each(FORBIDDEN)('no file has %s', (_, pattern) => {
  const found = files
    .filter(({ path }) => !path.startsWith('test/vectors/'))
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .map((line, index) => ({ place: `${path}:${index + 1}`, line }))
        .filter(({ line }) => pattern.test(line))
        .map(({ place, line }) => `${place}: ${line.trim().slice(0, 100)}`),
    )
  expect(found).toEqual([])
})
