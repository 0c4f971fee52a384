/** What the process that writes to the store has open: the store itself, all that rests on it, and its timers. */
import { makeAuditFolder } from './audit/audit-files.ts'
import { AuditWriter } from './audit/audit-writer.ts'
import { lastHead, recordHead } from './audit/head.ts'
import { BackupDesk } from './backup/backup-desk.ts'
import { CacheExpiry } from './cache-expiry.ts'
import type { AuditFileConfig, Config } from './config/config.ts'
import { Reserves } from './disk/reserves.ts'
import { DueDeletions } from './due-deletions.ts'
import { now } from './encoding/timestamp.ts'
import { KeyExistsError, KeyNameReservedError } from './errors.ts'
import type { Services } from './http/routes.ts'
import { type Clocks, DeletionClock } from './keyring/deletion-clock.ts'
import { KeyRing } from './keyring/key-ring.ts'
import type { LastUses } from './keyring/last-uses.ts'
import { onlyHolder, type RootHolders, SealAdmin } from './keyring/seal-admin.ts'
import type { ErrorLog } from './log/error-log.ts'
import { messageOf } from './message-of.ts'
import type { Metrics } from './metrics/metrics.ts'
import { ServerMetrics } from './metrics/server-metrics.ts'
import type { ServerTally } from './metrics/server-tally.ts'
import { type OpenStore, openStore, reservePathOf } from './open-store.ts'
import type { Origin } from './operations/policies.ts'
import { rulesOf } from './rules.ts'
import { SavedUses } from './saved-uses.ts'
import type { Seal } from './seal/seal.ts'
import { FsStore } from './store/fs-store.ts'
import { asStartError } from './store/open-errors.ts'
import type { SqliteStore } from './store/sqlite-store.ts'
import { VERSION } from './version.ts'
import type { Hub } from './workers/hub.ts'

const PURGE_INTERVAL_MS = 10_000
const RETRY_MS = 10_000

export interface CoreOptions {
  readonly config: Omit<Config, 'tls'>
  readonly hub: Hub
  readonly metrics: Metrics
  readonly tally: ServerTally
  readonly errorLog: ErrorLog
  /** By which scheduled deletions become due. Default: the system's. */
  readonly clocks?: Clocks | undefined
  /** Whom a new root key is told. Default: this process alone. */
  readonly holdersOf?: (seal: Seal) => RootHolders
}

export interface Core {
  readonly services: Services
  readonly seal: Seal
  readonly lastUses: LastUses
  readonly store: SqliteStore
  /** Of a store that keeps its keys in the folder of the Go KES. */
  readonly keysFolder: string | undefined
  /** As the banner names the store. */
  readonly storeLabel: string
  /** Undefined without an audit file. */
  readonly auditWriter: AuditWriter | undefined
  /** Takes over the rules and the cache's times of another config. */
  readonly reload: (config: Pick<Config, 'adminIdentity' | 'policies' | 'api' | 'cache'>) => void
  /** Makes the keys that a config names and the store has not. */
  readonly createKeys: (config: Pick<Config, 'adminIdentity' | 'keys'>) => Promise<void>
  readonly close: () => Promise<void>
}

/**
 * @throws StoreOpenError, SealOpenError, UnsupportedStoreError, AuditOpenError, with nothing left open.
 */
export async function openCore(options: CoreOptions): Promise<Core> {
  const { config, hub, metrics, tally, errorLog, clocks, holdersOf = onlyHolder } = options
  let reserves: Reserves | undefined
  const opened = openStore(config.keystore, () => reserves?.store?.spend() === true)
  for (const fact of opened.facts) errorLog.info(fact)
  for (const warning of opened.warnings) errorLog.warn(warning)
  const clock = new DeletionClock(opened.store, opened.seal, clocks)
  const uses = new SavedUses(opened.store.path, opened.seal.storeId, errorLog)
  const keysOptions = { ...config.keysOptions, deletionClock: clock, lastUses: uses.lastUses }
  const ring = new KeyRing(opened.store, opened.seal, opened.journal, keysOptions)
  const purge = purger(opened, errorLog)
  const onErased = () => hub.barrier().then(purge)
  const whenWritable = () => opened.store.whenWritable('change key')
  const deletions = new DueDeletions({ ring, clock, whenWritable, errorLog, onErased })
  let auditWriter: AuditWriter | undefined
  try {
    reserves = makeReserves(config.log.auditFile, reservePathOf(opened), errorLog)
    const hasTried = reserves.keep()
    if (config.log.auditFile !== undefined) await hasTried // Without the reserve it would take no events.
    auditWriter = await openAuditWriter(config, opened, reserves, errorLog)
    createPredefinedKeys(config, ring, errorLog)
  } catch (error) {
    await reserves?.close()
    await auditWriter?.close()
    closeStore(opened, ring)
    throw asStartError(opened.store.path, error)
  }
  deletions.start()
  uses.start(ring, () => hub.gatherUses(), whenWritable)
  const sealAdmin = new SealAdmin({ ...opened, holders: holdersOf(opened.seal) })
  const backups = new BackupDesk(opened.store, opened.journal)
  const rotation = new RotationJob(sealAdmin, errorLog)
  rotation.start()
  const cacheExpiry = new CacheExpiry(ring, config.cache)
  const purgeTimer = setInterval(purge, PURGE_INTERVAL_MS).unref()
  void purge()
  const startedAt = now()
  const originOf = ({ adminIdentity }: Pick<Config, 'adminIdentity'>): Origin => ({
    createdAt: startedAt,
    createdBy: adminIdentity,
  })
  const services: Services = {
    ring,
    store: opened.store,
    journal: opened.journal,
    sealAdmin,
    backups,
    startRotation: () => rotation.start(),
    ...rulesOf(config, originOf(config)),
    metrics,
    serverMetrics: new ServerMetrics({ ...opened, auditWriter, tally }),
    hub,
    version: VERSION,
  }
  return {
    services,
    seal: opened.seal,
    lastUses: uses.lastUses,
    store: opened.store,
    keysFolder: opened.store instanceof FsStore ? opened.store.folder.path : undefined,
    storeLabel: opened.label,
    auditWriter,
    reload(next) {
      Object.assign(services, rulesOf(next, originOf(next)))
      cacheExpiry.replace(next.cache)
    },
    async createKeys(next) {
      if (next.keys.length > 0) await opened.store.whenWritable('create key')
      createPredefinedKeys(next, ring, errorLog)
    },
    async close() {
      rotation.stop()
      backups.close()
      cacheExpiry.stop()
      clearInterval(purgeTimer)
      deletions.stop()
      uses.stop(ring)
      await reserves.close()
      await auditWriter?.close() // Signs its last head into the journal.
      closeStore(opened, ring)
    },
  }
}

function makeReserves(
  auditFile: AuditFileConfig | undefined,
  store: string | undefined,
  notices: ErrorLog,
): Reserves {
  if (auditFile !== undefined) makeAuditFolder(auditFile.path)
  return new Reserves({ store, audit: auditFile && `${auditFile.path}.reserve`, notices })
}

async function openAuditWriter(
  { log: { auditFile } }: CoreOptions['config'],
  { store, journal }: OpenStore,
  reserves: Reserves,
  errorLog: ErrorLog,
): Promise<AuditWriter | undefined> {
  if (auditFile === undefined) return undefined
  return AuditWriter.open(auditFile, {
    storeId: Buffer.from(journal.storeId).toString('hex'),
    reserve: reserves.audit,
    lastHead: lastHead(journal),
    whenWritable: () => store.whenWritable('change key'),
    recordHead: (head) => recordHead(store, journal, head),
    notices: errorLog,
  })
}

/** Makes the keys that the config names and the store has not; never one whose name an erased key has left. */
function createPredefinedKeys(
  config: Pick<Config, 'adminIdentity' | 'keys'>,
  ring: KeyRing,
  errorLog: ErrorLog,
): void {
  for (const name of config.keys) {
    try {
      ring.create(name, { identity: config.adminIdentity, ip: '' })
      errorLog.info(`predefined key '${name}' created`)
    } catch (error) {
      if (error instanceof KeyNameReservedError) {
        errorLog.warn(
          `predefined key '${name}' was erased: its name stays reserved, and the key is not made again`,
        )
      } else if (!(error instanceof KeyExistsError)) throw error
    }
  }
}

/** Removes, or tries again to remove, what erased keys have left in the store's files. */
function purger({ store }: OpenStore, errorLog: ErrorLog): () => Promise<void> {
  let isOwed = false
  return async () => {
    const wasOwed = isOwed
    let reason = 'a program reads or writes the store, or its disk takes no writes'
    try {
      isOwed = !(await store.purge())
    } catch (error) {
      isOwed = true
      reason = messageOf(error)
    }
    if (isOwed && !wasOwed) errorLog.warn(`records of erased keys are still on the disk: ${reason}`)
    if (wasOwed && !isOwed) errorLog.info('records of erased keys were removed from the disk')
  }
}

/** Goes on with a change of the root key to its end, also one that an earlier process began. */
class RotationJob {
  readonly #admin: SealAdmin
  readonly #errorLog: ErrorLog
  readonly #end = new AbortController()
  #isRunning = false

  constructor(admin: SealAdmin, errorLog: ErrorLog) {
    this.#admin = admin
    this.#errorLog = errorLog
  }

  start(): void {
    if (this.#isRunning || this.#end.signal.aborted) return
    this.#isRunning = true
    this.#run()
      .catch((error) => this.#retry(error))
      .finally(() => {
        this.#isRunning = false
      })
  }

  stop(): void {
    this.#end.abort()
  }

  async #run(): Promise<void> {
    const result = await this.#admin.finishRotation(this.#end.signal)
    if (result === undefined) return
    this.#errorLog.info(`the root key was replaced: ${result.resealed} records were resealed`)
    if (result.damaged > 0) {
      this.#errorLog.warn(
        `${result.damaged} damaged records were not resealed: no root key opens them any more`,
      )
    }
  }

  #retry(error: unknown): void {
    if (this.#end.signal.aborted) return
    const reason = messageOf(error)
    this.#errorLog.warn(`replacing the root key was interrupted, and is tried again: ${reason}`)
    setTimeout(() => this.start(), RETRY_MS).unref()
  }
}

function closeStore({ store, seal }: OpenStore, ring: KeyRing): void {
  ring.forgetAll()
  seal.destroy()
  store.close()
}
