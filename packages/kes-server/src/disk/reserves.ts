/** The reserves of a server: one on the disk of its store, and one more if its audit files lie on another disk. */
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../message-of.ts'
import { DiskReserve } from './disk-reserve.ts'

const CHECK_MS = 1000

export interface ReserveOptions {
  /** Undefined for a store in memory. */
  readonly store: string | undefined
  /** Undefined without audit files. */
  readonly audit: string | undefined
  readonly notices: { info(message: string): void; warn(message: string): void; error(message: string): void }
}

export class Reserves {
  readonly store: DiskReserve | undefined
  /** That of the disk with the audit files; may be the store's. */
  readonly audit: DiskReserve | undefined
  readonly #all: ReadonlySet<DiskReserve>
  readonly #notices: ReserveOptions['notices']
  readonly #missing = new Set<DiskReserve>()
  #timer: NodeJS.Timeout | undefined
  #restoring: Promise<void> | undefined

  /** Their folders are there. */
  constructor({ store, audit, notices }: ReserveOptions) {
    const uses = audit === undefined ? '' : ', but not used until there is room again'
    const make = (path: string) => {
      const reserve: DiskReserve = new DiskReserve(path, () => {
        this.#missing.add(reserve)
        const message = `the disk is full: '${path}' was given up for it, so that keys can be disabled and deleted`
        notices.error(`${message}${uses}`)
      })
      return reserve
    }
    this.#notices = notices
    this.store = store === undefined ? undefined : make(store)
    this.audit = audit === undefined ? undefined : make(audit)
    if (this.store !== undefined && this.audit !== undefined && isOnOneDisk(this.store, this.audit)) {
      this.audit = this.store
    }
    this.#all = new Set([this.store, this.audit].filter((reserve) => reserve !== undefined))
  }

  /** Makes the reserves, and again after they were spent, as soon as there is room. Fulfilled after the first try. */
  keep(): Promise<void> {
    this.#timer = setInterval(() => void this.#restoreAll(), CHECK_MS).unref()
    return this.#restoreAll()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#restoring
  }

  #restoreAll(): Promise<void> {
    this.#restoring ??= this.#restoreEach().finally(() => {
      this.#restoring = undefined
    })
    return this.#restoring
  }

  async #restoreEach(): Promise<void> {
    for (const reserve of this.#all) {
      const problem = await this.#restore(reserve)
      if (problem === undefined && this.#missing.delete(reserve)) {
        this.#notices.info(`the reserve '${reserve.path}' is there again`)
      } else if (problem !== undefined && !this.#missing.has(reserve)) {
        this.#missing.add(reserve)
        const message = `the reserve '${reserve.path}' for a full disk can not be made: ${problem}`
        if (reserve === this.audit) this.#notices.error(`${message}; keys can not be used until it is there`)
        else this.#notices.warn(message)
      }
    }
  }

  async #restore(reserve: DiskReserve): Promise<string | undefined> {
    try {
      return (await reserve.restore()) ? undefined : 'there is no room for it twice'
    } catch (error) {
      return messageOf(error)
    }
  }
}

function isOnOneDisk(one: DiskReserve, other: DiskReserve): boolean {
  return statSync(dirname(one.path)).dev === statSync(dirname(other.path)).dev
}
