/** {@link Io} of the process: its streams, its environment, the clock, Ctrl-C and the network. */
import { ReadStream } from 'node:tty'
import type { KesClientOptions } from '@latchkey/kms-client'
import type { Client, Io, Output } from './io.ts'

const [CTRL_C, CTRL_D, BACKSPACE, DELETE] = ['\u0003', '\u0004', '\b', '\u007f']
const STDERR = 2

export function processIo(): Io {
  const interruption = new AbortController()
  let isListening = false
  // A reader that has gone (`kes log | head`) ends the command without a word.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    interruption.abort()
  })
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
    terminal.on('error', reject)
    terminal.on('data', (text) => {
      for (const character of String(text)) {
        if (character === '\r' || character === '\n' || character === CTRL_D) return resolve(line.join(''))
        if (character === CTRL_C) return reject(new Error('interrupted'))
        if (character === BACKSPACE || character === DELETE) line.pop()
        else line.push(character)
      }
    })
  })
}
