/** {@link Io} of the process: its streams, its environment, the clock, Ctrl-C and the network. */
import { ReadStream } from 'node:tty'
import type { KesClientOptions } from '@latchkey/kms-client'
import type { Client, Io, Output } from './io.ts'
import { Exit } from './outcome.ts'

const [CTRL_C, CTRL_D, BACKSPACE, DELETE] = ['\u0003', '\u0004', '\b', '\u007f']
const STDERR = 2

export function processIo(): Io {
  const interruption = new AbortController()
  let isListening = false
  // A reader that has gone (`kes log | head`) ends the command without a word; what can't be written, with one.
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE' && !interruption.signal.aborted) {
      process.stderr.write(`Error: the standard output can not be written: ${message}\n`)
      process.once('exit', () => {
        process.exitCode ||= 1
      })
    }
    interruption.abort()
  })
  process.stderr.on('error', () => undefined) // Nobody can be told.
  return {
    env: process.env,
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    readStdin,
    readPassword,
    now: () => new Date(),
    /** Listens from its first use on: `kes server` deals with signals itself. A second Ctrl-C ends the process. */
    get interruption() {
      if (!isListening) process.once('SIGINT', () => interruption.abort())
      isListening = true
      return interruption.signal
    },
    openClient,
  }
}

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    isTerminal: stream.isTTY === true,
    write(text) {
      stream.write(text)
    },
  }
}

async function openClient(options: KesClientOptions): Promise<Client> {
  const { KesClient } = await import('@latchkey/kms-client')
  return new KesClient(options)
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** What was typed behind the line that a password was read from: the answer to the next question. */
let typedAhead = ''

async function readPassword(prompt: string): Promise<string> {
  process.stderr.write(prompt)
  if (process.stderr.isTTY !== true) {
    process.stderr.write('\n')
    throw new Error('reading password: inappropriate ioctl for device')
  }
  // The terminal of stderr: stdin may be a pipe that carries something else.
  const terminal = new ReadStream(STDERR)
  terminal.setEncoding('utf8').setRawMode(true)
  try {
    return await readLine(terminal)
  } finally {
    terminal.setRawMode(false)
    terminal.destroy()
    process.stderr.write('\n')
  }
}

function readLine(terminal: ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    const line: string[] = []
    const read = (text: string) => {
      for (const [index, character] of [...text].entries()) {
        if (character === '\r' || character === '\n' || character === CTRL_D) {
          typedAhead = [...text].slice(index + 1).join('')
          return resolve(line.join(''))
        }
        if (character === CTRL_C) return reject(new Exit(1))
        if (character === BACKSPACE || character === DELETE) line.pop()
        else line.push(character)
      }
    }
    terminal.on('error', reject)
    terminal.on('end', () => reject(new Error('reading password: EOF')))
    terminal.on('data', (chunk) => read(String(chunk)))
    const before = typedAhead
    typedAhead = ''
    read(before)
  })
}
