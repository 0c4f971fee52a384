/** Commands that speak as KES's do: help on stderr with exit code 2, usage errors in KES's words. */
import {
  type AddHelpTextContext,
  type AddHelpTextPosition,
  Command,
  type ErrorOptions,
  Option,
  type ParseOptionsResult,
} from 'commander'
import { parseDuration, toMilliseconds } from '../config/duration.ts'
import type { Io } from './io.ts'
import { CliError, Exit } from './outcome.ts'
import { COLOR_MODES, type ColorMode, paint } from './paint.ts'

/** The options of commands that talk to a server. */
export interface ClientFlags {
  readonly insecure?: boolean
  readonly ca?: string
}

export interface OutputFlags {
  readonly json?: boolean
  readonly color?: ColorMode
}

/** Parses an option that may be given several times. */
export function repeatable(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

const HELP_COLUMNS = 100
const HELP_EXIT_CODE = 2

export class KesCommand extends Command {
  readonly #io: Io

  constructor(name: string | undefined, io: Io) {
    super(name)
    this.#io = io
    const { stderr, env } = io
    const writeErr = (text: string) => stderr.write(text)
    this.configureOutput({
      writeOut: writeErr,
      writeErr,
      getOutHelpWidth: () => HELP_COLUMNS,
      getErrHelpWidth: () => HELP_COLUMNS,
      getOutHasColors: () => stderr.isTerminal,
      getErrHasColors: () => stderr.isTerminal,
    })
    this.configureHelp({
      styleTitle: (title) => paint('bold', title, stderr, env),
      subcommandTerm: (command) => command.name(),
    })
    this.helpOption('-h, --help', 'Print this help')
    this.helpCommand(false)
    this.exitOverride(() => {
      throw new Exit(HELP_EXIT_CODE)
    })
  }

  override createCommand(name?: string): KesCommand {
    return new KesCommand(name, this.#io)
  }

  /** Paragraphs get the width of the rest of the help. Lines that are indented, as of tables and examples, stay. */
  override addHelpText(
    position: AddHelpTextPosition,
    text: string | ((context: AddHelpTextContext) => string),
  ): this {
    if (typeof text !== 'string') return super.addHelpText(position, text)
    const help = this.createHelp()
    const paragraphs = text.replace(/^\S.*(?:\n\S.*)*/gm, (lines) =>
      help.boxWrap(lines.replaceAll('\n', ' '), HELP_COLUMNS),
    )
    return super.addHelpText(position, paragraphs)
  }

  /** KES knows `--json=true` too, which stands for `--json`, and `--json=false` for nothing. */
  override parseOptions(argv: string[]): ParseOptionsResult {
    const end = argv.indexOf('--')
    const words = end < 0 ? argv : argv.slice(0, end)
    return super.parseOptions([
      ...words.flatMap((word) => this.#withoutBooleanValue(word)),
      ...argv.slice(words.length),
    ])
  }

  /** All that commander finds wrong with a command line. */
  override error(message: string, { code }: ErrorOptions = {}): never {
    const [word = ''] = /(?<=').*(?=')/s.exec(message) ?? []
    const suggestion = /\(Did you mean .*\?\)/.exec(message)?.[0].slice(1, -1)
    const hints = suggestion === undefined ? [] : [suggestion]
    switch (code) {
      case 'commander.unknownCommand':
        throw this.usageError(`"${word}" is not a ${this.name()} command`, hints)
      case 'commander.unknownOption':
        throw this.usageError(unknownFlag(word), hints)
      case 'commander.optionMissingArgument': {
        const flag = /--[\w-]+/.exec(word)?.[0] ?? word
        throw this.usageError(`flag needs an argument: ${flag}`)
      }
      case 'commander.excessArguments':
        throw this.usageError('too many arguments')
      default:
        throw this.usageError(message.replace(/^error: /, ''))
    }
  }

  usageError(problem: string, hints: readonly string[] = []): CliError {
    return new CliError(`${problem}. See '${this.#path()} --help'`, hints)
  }

  /** Options of every command that talks to a server. Credentials come from the environment alone. */
  addClientOptions(): this {
    return this.option('-k, --insecure', "Don't verify the server's certificate")
      .option('--ca <path>', 'Trust the certificate authorities of this PEM file, or folder of PEM files')
      .addOption(new Option('-e, --enclave <name>').hideHelp())
  }

  addJsonOption(description = 'Print the result as JSON'): this {
    return this.option('--json', description)
  }

  addColorOption(): this {
    const description = 'Use colors: always, auto (on a terminal) or never'
    const parse = (text: string): ColorMode => {
      const mode = COLOR_MODES.find((each) => each === text)
      if (mode === undefined)
        throw this.usageError(`invalid argument "${text}" for "--color" flag: use ${COLOR_MODES.join(', ')}`)
      return mode
    }
    return this.addOption(new Option('--color <when>', description).argParser(parse))
  }

  /** The value is in milliseconds. */
  addDurationOption(flags: string, description: string): this {
    const option = new Option(flags, description)
    const parse = (text: string): number => {
      const duration = parseDuration(text)
      if (duration !== undefined && duration > 0n) return toMilliseconds(duration)
      throw this.usageError(
        `invalid argument "${text}" for "${option.long}" flag: time: invalid duration "${text}"`,
      )
    }
    return this.addOption(option.argParser(parse))
  }

  #path(): string {
    return this.parent instanceof KesCommand ? `${this.parent.#path()} ${this.name()}` : this.name()
  }

  #withoutBooleanValue(word: string): string[] {
    const [, flag, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? []
    const option = this.options.find(({ long }) => long !== undefined && long === flag)
    if (flag === undefined || value === undefined || !option?.isBoolean()) return [word]
    if (value === 'true') return [flag]
    if (value === 'false') return []
    throw this.usageError(`invalid argument "${value}" for "${flag}" flag: it is true or false`)
  }
}

function unknownFlag(word: string): string {
  if (word.startsWith('--')) return `unknown flag: ${word.split('=', 1)[0]}`
  return `unknown shorthand flag: '${word.slice(1, 2)}' in ${word}`
}
