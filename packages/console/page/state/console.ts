/** All that one session has: made at the login, gone at its end. */
import { type Signal, signal } from '@preact/signals'
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { ErasureReceipt, ServerInfo } from '../net/key-server.ts'
import { serverInfo } from '../net/key-server.ts'
import type { Session } from '../net/session.ts'
import { Activity } from './activity.ts'
import { KeyTable } from './key-table.ts'
import { tellFailed } from './notices.ts'

export class Console {
  readonly session: Session
  readonly keys: KeyTable
  readonly activity: Activity
  readonly info: Signal<ServerInfo | undefined> = signal(undefined)
  /** Of the keys that were erased in this session: who may erase a key may not always read its history. */
  readonly receipts = signal<ReadonlyMap<string, ErasureReceipt>>(new Map())

  constructor(session: Session) {
    this.session = session
    this.keys = new KeyTable(session)
    this.activity = new Activity(session, this.keys)
  }

  start(): void {
    void this.keys.start()
    void this.activity.start()
    void this.readInfo()
  }

  async readInfo(): Promise<void> {
    try {
      this.info.value = await serverInfo(this.session)
    } catch (error) {
      if (!this.session.ended.aborted) tellFailed('The server does not tell about itself', error)
    }
  }

  /** Whether the storage node can be asked: admins alone may. */
  get hasNode(): boolean {
    return this.session.isAdmin && this.info.value?.node != null
  }

  keepReceipt(receipt: ErasureReceipt): void {
    this.receipts.value = new Map(this.receipts.value).set(receipt.name, receipt)
  }
}

export const ConsoleContext = createContext<Console | undefined>(undefined)

export function useConsole(): Console {
  const found = useContext(ConsoleContext)
  if (found === undefined) throw new Error('no session')
  return found
}
