/** A config file's text or path → its {@link Config}, or every problem it has. */
import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import type { Config, ConfigDraft } from './config.ts'
import type { Environment } from './env.ts'
import { reportUnknownFields } from './fields.ts'
import { describeFileError } from './file-error.ts'
import { modernize } from './historical-spellings.ts'
import { ConfigError, type Position, type Problem } from './problem.ts'
import { readConfig } from './read-config.ts'
import { Report } from './report.ts'
import { Section } from './section.ts'
import { YamlSource } from './yaml-source.ts'

export interface ParseOptions {
  /** As messages name it. */
  readonly file: string
  readonly env: Environment
  /** Whether every warning is an error. */
  readonly strict?: boolean
  /** Reads a file that the config names and KES reads with it (a Vault JWT); `node:fs` by default. */
  readonly readFile?: (path: string) => string
  /** What is to be said of values beyond their form, such as of files that they name; of a file with errors, too. */
  readonly examine?: (draft: ConfigDraft) => readonly Remark[]
}

export interface Remark {
  readonly severity: Problem['severity']
  /** As a dotted path. */
  readonly field: string
  readonly message: string
  readonly hint: string | undefined
}

export interface ParsedConfig {
  readonly config: Config
  /** In file order. */
  readonly warnings: readonly Problem[]
  /** Where each field stands, by dotted path (`tls.key`), for problems that show later. */
  readonly positions: ReadonlyMap<string, Position>
}

const START: Position = { line: 1, column: 1 }

/** @throws {@link ConfigError} with every problem, if one is an error. */
export function parseConfig(text: string, options: ParseOptions): ParsedConfig {
  const report = new Report(options.file, options.strict ?? false)
  const positions = new Map<string, Position>()
  const yaml = YamlSource.parse(text, report)
  let draft: ConfigDraft | undefined
  if (yaml !== undefined) {
    modernize(yaml, report)
    const readFile = options.readFile ?? readText
    draft = readConfig(Section.root({ yaml, env: options.env, report, readFile, positions }))
    for (const { severity, field, message, hint } of options.examine?.(draft) ?? []) {
      const position = positions.get(field) ?? START
      if (severity === 'error') report.error('late', position, message, hint)
      else report.advise(position, message, hint)
    }
    reportUnknownFields(yaml, report)
  }
  report.throwIfErrors()
  assert(draft?.keystore !== undefined, 'a file without errors has a store')
  return { config: { ...draft, keystore: draft.keystore }, warnings: report.problems(), positions }
}

/** @throws {@link ConfigError}, also if the file can't be read. */
export function loadConfigFile(
  path: string,
  options: Partial<Omit<ParseOptions, 'file'>> = {},
): ParsedConfig {
  let text: string
  try {
    text = readText(path)
  } catch (error) {
    const message = error instanceof EncodingError ? error.message : describeFileError(path, error)
    const place = error instanceof EncodingError ? error.position : { line: undefined, column: undefined }
    const problem = {
      severity: 'error',
      ...place,
      message,
      hint: error instanceof EncodingError ? 'save the file as UTF-8' : undefined,
    } as const
    throw new ConfigError(path, [problem], message, { cause: error })
  }
  return parseConfig(text, { env: process.env, ...options, file: path })
}

class EncodingError extends Error {
  override readonly name = 'EncodingError'
  readonly position: Position

  constructor(position: Position) {
    super('yaml: invalid UTF-8')
    this.position = position
  }
}

/** @throws {@link EncodingError} if the file is no UTF-8, otherwise what `node:fs` does. */
function readText(path: string): string {
  const bytes = readFileSync(path)
  if (!isUtf8(bytes)) throw new EncodingError(firstNoUtf8(bytes))
  return new TextDecoder().decode(bytes) // Without the byte order mark.
}

/** No character of UTF-8 has a line feed within. */
function firstNoUtf8(bytes: Buffer): Position {
  const lines = bytes.toString('latin1').split('\n')
  const index = lines.findIndex((line) => !isUtf8(Buffer.from(line, 'latin1')))
  const whole = new TextDecoder().decode(Buffer.from(lines[index] ?? '', 'latin1'))
  return { line: index + 1, column: whole.indexOf('\ufffd') + 1 }
}
