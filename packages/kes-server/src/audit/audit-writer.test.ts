import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type AuditSurroundings, AuditWriter, type SpareSpace } from './audit-writer.ts'
import type { AuditHead } from './head.ts'
import { noteFields } from './lines.ts'
import { AuditVerifier } from './verify.ts'

// Much of it waits for the disk, which others may use, too.
vi.setConfig({ testTimeout: 60_000 })

let folder: string
let heads: AuditHead[]
let notices: string[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-audit-'))
  heads = []
  notices = []
})

afterEach(() => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

interface WriterOptions extends Partial<AuditSurroundings> {
  readonly maxBytes?: number
  readonly maxAgeMs?: number
  readonly keep?: number
}

function openWriter({ maxBytes = 1e9, maxAgeMs = 1e9, keep, ...surroundings }: WriterOptions = {}) {
  const note = (message: string) => notices.push(message)
  return AuditWriter.open(
    { path: join(folder, 'audit.jsonl'), maxBytes, maxAgeMs, keep, headIntervalMs: 1000 },
    {
      storeId: 'ab'.repeat(16),
      reserve: undefined,
      lastHead: heads.at(-1),
      whenWritable: () => undefined,
      recordHead: (head) => heads.push(head),
      notices: { info: note, warn: note, error: note },
      ...surroundings,
    },
  )
}

const event = (text: string) => noteFields('INFO', text, {})

function auditFiles(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
}

/** What is in the files, which must be whole: the messages of their lines. */
function messages(from?: number): string[] {
  const verifier = new AuditVerifier(
    heads.map((head, index) => ({ ...head, entry: index + 1 })),
    from,
  )
  const found: string[] = []
  for (const name of auditFiles()) {
    verifier.beginFile(name)
    const lines = readFileSync(join(folder, name), 'utf8').split('\n')
    const torn = lines.pop() ?? ''
    for (const line of lines) {
      verifier.next(Buffer.from(line))
      found.push(JSON.parse(line).msg)
    }
    verifier.endFile(torn.length)
  }
  verifier.end()
  return found
}

/** `open` whose handles fail as `fault` says, for each call of a method of theirs. */
function faultyOpen(
  fault: (method: 'write' | 'datasync' | 'truncate') => 'ENOSPC' | 'EIO' | 'short' | undefined,
) {
  return (async (...args: Parameters<typeof open>) => {
    const handle = await open(...args)
    const failing = (method: 'write' | 'datasync' | 'truncate') => {
      const code = fault(method)
      if (code !== undefined && code !== 'short')
        throw Object.assign(new Error(`${code}: injected`), { code })
      return code === 'short'
    }
    return {
      write(bytes: Buffer, offset: number, length: number, position: number) {
        const part = failing('write') ? Math.max(1, length >> 1) : length
        return handle.write(bytes, offset, part, position)
      },
      async datasync() {
        failing('datasync')
        await handle.datasync()
      },
      async truncate(length: number) {
        failing('truncate')
        await handle.truncate(length)
      },
      close: () => handle.close(),
    } as unknown as FileHandle
  }) as typeof open
}

describe('a new log', () => {
  test('begins with a line that says what it is, signed at once, and ends with a signed head', async () => {
    const writer = await openWriter()
    expect(heads).toMatchObject([{ event: 'open', file: 'audit-00000001.jsonl', seq: 1 }])
    await writer.append([event('a'), event('b')])
    await writer.close()
    expect(messages()).toEqual(['audit file opened', 'a', 'b'])
    expect(heads.at(-1)).toMatchObject({ event: 'close', seq: 3 })
    expect(statSync(join(folder, 'audit-00000001.jsonl')).mode & 0o777).toBe(0o600)
  })

  test('has what was appended on the disk when the promise is fulfilled, in the order of the calls', async () => {
    const writer = await openWriter()
    const settled: number[] = []
    await Promise.all(
      Array.from({ length: 300 }, async (_, number) => {
        await writer.append([event(`${number}`)])
        expect(readFileSync(join(folder, 'audit-00000001.jsonl'), 'utf8')).toContain(`"msg":"${number}"`)
        settled.push(number)
      }),
    )
    await writer.close()
    const expected = Array.from({ length: 300 }, (_, number) => number)
    expect(settled).toEqual(expected)
    expect(messages().slice(1)).toEqual(expected.map(String))
  })

  test('signs a head each second while there are new events, and none while there are not', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const writer = await openWriter()
    vi.advanceTimersByTime(10_000)
    expect(heads).toHaveLength(1)
    await writer.append([event('a')])
    vi.advanceTimersByTime(10_000)
    expect(heads).toMatchObject([{ seq: 1 }, { event: 'time', seq: 2 }])
    await writer.close()
    expect(heads).toHaveLength(3)
  })

  test('goes on where a head can not be signed, which is said once', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const writer = await openWriter({
      recordHead: () => {
        throw new Error('the store is full')
      },
    })
    await writer.append([event('a')])
    vi.advanceTimersByTime(5000)
    await writer.close()
    expect(notices).toEqual(['the head of the audit file could not be signed: the store is full'])
  })
})

describe('a file that has grown', () => {
  test('is followed by the next one, whose first line is chained to its last and signed', async () => {
    const writer = await openWriter({ maxBytes: 600 })
    for (const text of ['a', 'b', 'c', 'd']) await writer.append([event(text)])
    await writer.close()
    expect(auditFiles()).toEqual(['audit-00000001.jsonl', 'audit-00000002.jsonl'])
    expect(messages()).toEqual(['audit file opened', 'a', 'b', 'audit file opened', 'c', 'd'])
    expect(heads.filter((head) => head.event === 'rotate').map(({ file }) => file)).toEqual(
      auditFiles().slice(1),
    )
  })

  test('is followed by the next one when it is old, also after a restart', async () => {
    const first = await openWriter({ maxAgeMs: 60_000 })
    await first.close()
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 60_000)
    const second = await openWriter({ maxAgeMs: 60_000 })
    await second.append([event('a')])
    await second.close()
    expect(messages()).toEqual(['audit file opened', 'audit file continued', 'audit file opened', 'a'])
  })

  test('is removed once there are too many, and the chain says so', async () => {
    const writer = await openWriter({ maxBytes: 300, keep: 2 })
    for (const text of ['a', 'b', 'c', 'd']) await writer.append([event(text)])
    await writer.close()
    expect(auditFiles()).toHaveLength(2)
    expect(messages()).toContain('audit files removed')
    rmSync(join(folder, auditFiles()[0] ?? ''))
    expect(() => messages()).toThrow(/missing/)
  })

  test('goes on while no new one can be begun', async () => {
    let isFailing = false
    const failing: typeof open = (path, flags, mode) => {
      if (isFailing) throw new Error('no inode is left')
      return open(path, flags, mode)
    }
    const writer = await openWriter({ maxBytes: 300, openFile: failing })
    isFailing = true
    for (const text of ['a', 'b']) await writer.append([event(text)])
    await writer.close()
    expect(messages()).toEqual(['audit file opened', 'a', 'b'])
    expect(notices).toEqual(['no new audit file could be begun: no inode is left'])
  })
})

describe('after a server was killed', () => {
  async function killed(): Promise<string> {
    const writer = await openWriter()
    await writer.append([event('a'), event('b')])
    await writer.close()
    heads.pop()
    return join(folder, 'audit-00000001.jsonl')
  }

  test('a torn last line is set aside, and the chain and the signed head say so', async () => {
    const path = await killed()
    const whole = readFileSync(path)
    writeFileSync(path, '{"seq":4,"time":"20', { flag: 'a' })
    const writer = await openWriter()
    await writer.close()
    expect(readFileSync(path).subarray(0, whole.length)).toEqual(whole)
    expect(messages()).toEqual(['audit file opened', 'a', 'b', 'audit file continued'])
    expect(readFileSync(`${path}.torn`, 'utf8')).toBe('{"seq":4,"time":"20')
    expect(statSync(`${path}.torn`).mode & 0o777).toBe(0o600)
    expect(heads).toMatchObject([
      { seq: 1 },
      { event: 'open', seq: 4, torn: 19 },
      { event: 'close', torn: 0 },
    ])
    expect(readFileSync(path, 'utf8')).toContain('"audit":{"torn_bytes":19}')
    expect(notices).toEqual([expect.stringContaining('19 torn bytes')])
  })

  test.each([
    ['zeros', Buffer.alloc(5000)],
    [
      'zeros before a line that is whole',
      Buffer.concat([Buffer.alloc(100), Buffer.from('\n{"seq":9,"a":1}\n')]),
    ],
    ['a whole line that follows nothing', Buffer.from(`{"seq":4,"a":1,"hash":"${'0'.repeat(64)}"}\n`)],
    ['2 MiB of a batch', Buffer.alloc(2 * 2 ** 20, 'x')],
  ])('%s at the end are set aside', async (_, torn) => {
    const path = await killed()
    writeFileSync(path, torn, { flag: 'a' })
    await (await openWriter()).close()
    expect(messages()).toEqual(['audit file opened', 'a', 'b', 'audit file continued'])
    expect(readFileSync(`${path}.torn`)).toEqual(torn)
  })

  test('a file of which nothing but a part of its first line is there is begun anew', async () => {
    await killed()
    writeFileSync(join(folder, 'audit-00000002.jsonl'), '{"seq":4,')
    await (await openWriter()).close()
    expect(messages()).toEqual(['audit file opened', 'a', 'b', 'audit file continued'])
    expect(readFileSync(join(folder, 'audit-00000002.jsonl.torn'), 'utf8')).toBe('{"seq":4,')
  })

  test('the end of a long file is found', async () => {
    const writer = await openWriter()
    const long = 'x'.repeat(100_000)
    for (let count = 0; count < 30; count += 1) await writer.append([event(`${count} ${long}`)])
    await writer.close()
    await (await openWriter()).close()
    expect(messages()).toHaveLength(32)
  })
})

describe('where files do not agree with the journal', () => {
  test('a missing end is told, and the chain goes on behind it in a new file', async () => {
    const first = await openWriter()
    await first.append([event('a'), event('b')])
    await first.close()
    const path = join(folder, 'audit-00000001.jsonl')
    const [line = ''] = readFileSync(path, 'utf8').split('\n')
    truncateSync(path, line.length + 1)

    await (await openWriter()).close()
    expect(notices).toEqual([expect.stringContaining('events 2 to 3 are not in the audit files')])
    expect(() => messages()).toThrow('events 2 to 3 are missing')
    rmSync(path)
    expect(messages(4)).toEqual(['audit file opened'])
    expect(heads.at(-1)).toMatchObject({ seq: 4, file: 'audit-00000002.jsonl' })
  })

  test('files that are gone are told, and their numbers are not used again', async () => {
    await (await openWriter()).close()
    rmSync(join(folder, 'audit-00000001.jsonl'))
    await (await openWriter()).close()
    expect(notices).toEqual([expect.stringContaining('event')])
    expect(auditFiles()).toEqual(['audit-00000002.jsonl'])
  })

  test('a last line that was changed together with its hash is told', async () => {
    await (await openWriter()).close()
    const other = await openWriter({ lastHead: undefined })
    await other.close()
    heads = heads.map((head) => ({ ...head, seq: 1, hash: '1'.repeat(64) }))
    await (await openWriter()).close()
    expect(notices).toContainEqual(expect.stringContaining('was changed'))
  })

  test('files of another store keep the server from starting', async () => {
    await (await openWriter()).close()
    await expect(openWriter({ storeId: 'cd'.repeat(16), lastHead: undefined })).rejects.toThrow(
      'it belongs to another key store, so configure another path',
    )
  })
})

describe('a disk that fails', () => {
  /** Fails the call of this number, of writes, syncs and cuts together. */
  function failingAt(number: number, how: 'ENOSPC' | 'EIO' | 'short') {
    let calls = 0
    return faultyOpen((method) => {
      calls += 1
      return calls === number && (how !== 'short' || method === 'write') ? how : undefined
    })
  }

  test.each(['ENOSPC', 'EIO', 'short'] as const)(
    'by %s at any one call loses no acknowledged event',
    async (how) => {
      for (let number = 3; number < 24; number += 1) {
        rmSync(folder, { recursive: true })
        heads = []
        folder = mkdtempSync(join(tmpdir(), 'latchkey-audit-'))
        const writer = await openWriter({ openFile: failingAt(number, how), maxBytes: 900 })
        const acknowledged: string[] = []
        for (let count = 0; count < 6; count += 1) {
          const written = await writer.append([event(`${count}`)]).then(
            () => true,
            () => false,
          )
          if (written) acknowledged.push(`${count}`)
        }
        await writer.close()
        expect(acknowledged.length).toBeGreaterThanOrEqual(how === 'short' ? 6 : 5)
        expect(messages().filter((text) => /^\d$/.test(text))).toEqual(acknowledged)
      }
    },
  )

  test('is told once, makes the log refuse, and is tried again until it works', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    let isFailing = false
    const writer = await openWriter({ openFile: faultyOpen(() => (isFailing ? 'EIO' : undefined)) })
    isFailing = true
    for (let count = 0; count < 3; count += 1) {
      await expect(writer.append([event('lost')])).rejects.toThrow('EIO')
      expect(writer.isAccepting).toBe(false)
    }
    expect(notices).toEqual([expect.stringContaining('keys can not be used: EIO')])
    vi.advanceTimersByTime(1000)
    isFailing = false
    await vi.waitFor(() => {
      vi.advanceTimersByTime(1000)
      expect(writer.isAccepting).toBe(true)
    }, 30_000)
    await writer.append([event('kept')])
    await writer.close()
    expect(messages()).toEqual(['audit file opened', 'audit file written again', 'kept'])
  })

  test('that is slow is known to be, and for a while after it has caught up', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval'] })
    const gate = Promise.withResolvers<void>()
    let isHeld = false
    const openFile: typeof open = async (path, flags, mode) => {
      const handle = await open(path, flags, mode)
      const datasync = handle.datasync.bind(handle)
      handle.datasync = async () => {
        if (isHeld) await gate.promise
        await datasync()
      }
      return handle
    }
    const writer = await openWriter({ openFile })
    isHeld = true
    const appended = writer.append([event('a')])
    expect(writer.isSlow).toBe(false)
    vi.advanceTimersByTime(201)
    expect(writer.isSlow).toBe(true)
    gate.resolve()
    await appended
    expect(writer.isSlow).toBe(true)
    vi.advanceTimersByTime(1000)
    expect(writer.isSlow).toBe(false)
    await writer.close()
  })

  test('because it is full gets the reserve, and takes no more than what is under way', async () => {
    let isFull = false
    const reserve: SpareSpace & { isThere: boolean } = {
      isThere: true,
      spend() {
        this.isThere = false
        isFull = false
        return true
      },
    }
    const writer = await openWriter({ reserve, openFile: faultyOpen(() => (isFull ? 'ENOSPC' : undefined)) })
    isFull = true
    await writer.append([event('a')])
    expect(writer.isAccepting).toBe(false)
    await writer.append([event('the lock of a key')])
    reserve.isThere = true
    expect(writer.isAccepting).toBe(true)
    await writer.close()
    expect(messages()).toEqual(['audit file opened', 'a', 'the lock of a key'])
  })
})
