import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StoreLockedError, StoreOpenError } from './open-errors.ts'
import { SqliteStore } from './sqlite-store.ts'
import { StoreLock } from './store-lock.ts'

let directory: string
let path: string
let child: ChildProcess | undefined
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-lock-'))
  path = join(directory, 'keys.db')
})
afterEach(() => {
  child?.kill('SIGKILL')
  rmSync(directory, { recursive: true })
})

/** Another process that holds the lock until it is killed. */
async function lockElsewhere(): Promise<ChildProcess> {
  const module = new URL('store-lock.ts', import.meta.url).href
  const program = `
    import { StoreLock } from ${JSON.stringify(module)}
    globalThis.lock = StoreLock.acquire(${JSON.stringify(path)})
    process.stdout.write('held')
    setInterval(() => {}, 1000)`
  child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (child.stdout !== null) await once(child.stdout, 'data')
  return child
}

test('a store that another process holds is refused, with its pid and what to do', async () => {
  const { pid } = await lockElsewhere()
  const refused = expect.objectContaining({ name: 'StoreLockedError', pid })
  expect(() => StoreLock.acquire(path)).toThrow(refused)
  expect(() => SqliteStore.open(path)).toThrow(refused)
  expect(() => SqliteStore.open(path)).toThrow(`another server (pid ${pid} on host `)
  expect(() => SqliteStore.open(path)).toThrow(/: stop it first, or configure another path$/)
})

test('who holds a store can be asked without holding it, or making anything', async () => {
  expect(StoreLock.holderOf(path)).toBeUndefined()
  expect(existsSync(`${path}.lock`)).toBe(false)
  const holder = await lockElsewhere()
  expect(StoreLock.holderOf(path)).toMatchObject({ pid: holder.pid })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  expect(StoreLock.holderOf(path)).toBeUndefined()
  StoreLock.acquire(path).release()
})

test('the lock of a killed process is free at once', async () => {
  const holder = await lockElsewhere()
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  StoreLock.acquire(path).release()
})

test('a symbolic link to a store or its directory leads to the same lock', async () => {
  const { pid } = await lockElsewhere()
  SqliteStore.open(join(directory, 'other.db')).close()
  writeFileSync(path, '', { mode: 0o600 })
  symlinkSync(path, join(directory, 'link.db'))
  symlinkSync(directory, `${directory}-link`)
  try {
    for (const link of [join(directory, 'link.db'), join(`${directory}-link`, 'keys.db')]) {
      expect(() => SqliteStore.open(link)).toThrow(expect.objectContaining({ pid }))
    }
  } finally {
    rmSync(`${directory}-link`)
  }
})

test('one process holds a store once, and again after its release', () => {
  const store = SqliteStore.open(path)
  expect(() => SqliteStore.open(path)).toThrow(StoreLockedError)
  expect(() => SqliteStore.open(path)).toThrow(`this very process (pid ${process.pid} on host `)
  expect(() => SqliteStore.open(path)).toThrow(StoreLockedError) // A refusal has not freed it.
  store.close()
  SqliteStore.open(path).close()
})

test('a store that can not be opened is not left locked', () => {
  writeFileSync(path, 'no database, but longer than a header of SQLite is: '.repeat(20), { mode: 0o600 })
  expect(() => SqliteStore.open(path)).toThrow(/not a SQLite database/)
  StoreLock.acquire(path).release()
})

test('only its owner can read the lock file', () => {
  StoreLock.acquire(path).release()
  expect(statSync(`${path}.lock`).mode & 0o777).toBe(0o600)
})

test('a damaged lock file is refused by its name', () => {
  writeFileSync(`${path}.lock`, 'x'.repeat(1000))
  expect(() => StoreLock.acquire(path)).toThrow(StoreOpenError)
  expect(() => StoreLock.acquire(path)).toThrow(`the lock file '${path}.lock' is damaged: if no server uses`)
})

describe('a worker', () => {
  test('keeps the store from the next server after its own has ended, and no longer than it lives', () => {
    const server = StoreLock.acquire(path)
    const worker = StoreLock.join(path, process.pid)
    server.release()
    expect(() => StoreLock.acquire(path, 50)).toThrow(
      `the store '${path}' is still in use by worker processes of a server that has ended: end them first`,
    )
    worker.release()
    StoreLock.acquire(path).release()
  })

  test('that is about to end is waited for', async () => {
    const module = new URL('store-lock.ts', import.meta.url).href
    const server = StoreLock.acquire(path)
    const program = `
      import { StoreLock } from ${JSON.stringify(module)}
      globalThis.lock = StoreLock.join(${JSON.stringify(path)}, ${process.pid})
      process.stdout.write('joined')
      setTimeout(() => process.exit(), 500)`
    child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (child.stdout !== null) await once(child.stdout, 'data')
    server.release()
    StoreLock.acquire(path).release()
  })

  test('joins no other server than its own', async () => {
    const { pid } = await lockElsewhere()
    StoreLock.join(path, pid ?? 0).release()
    expect(() => StoreLock.join(path, process.pid)).toThrow(
      `the store '${path}' is not held by process ${process.pid} any more`,
    )
  })

  test('does not keep a second server from being told who holds the store', async () => {
    const { pid } = await lockElsewhere()
    const worker = StoreLock.join(path, pid ?? 0)
    expect(() => StoreLock.acquire(path)).toThrow(expect.objectContaining({ name: 'StoreLockedError', pid }))
    worker.release()
  })
})
