/**
 * Latchkey's own metrics, as `GET /v1/metrics/latchkey` has them. They stand apart from KES's, whose clients fail on a
 * family that they do not know.
 */
import type { AuditWriter } from '../audit/audit-writer.ts'
import type { Journal } from '../journal/journal.ts'
import type { KeyStore, StoreCounts } from '../store/key-store.ts'
import { type Family, type Kind, textOf } from './families.ts'
import type { ServerTally } from './server-tally.ts'

/** Counting reads every row, so it is not done for each scrape. */
const COUNT_INTERVAL_MS = 10_000

export interface ServerMetricsOptions {
  readonly store: Pick<KeyStore, 'counts'>
  readonly journal: Pick<Journal, 'head'>
  /** Undefined without an audit file. */
  readonly auditWriter: Pick<AuditWriter, 'isAccepting' | 'unsignedEvents' | 'headAgeSeconds'> | undefined
  readonly tally: ServerTally
}

export class ServerMetrics {
  readonly #options: ServerMetricsOptions
  #counts: StoreCounts | undefined
  #countedMs = 0

  constructor(options: ServerMetricsOptions) {
    this.#options = options
  }

  /** In Prometheus's text format. @throws StoreError (502) */
  text(): string {
    const { tally, auditWriter } = this.#options
    const { enabled, disabled, pending, erasing } = this.#countsOfStore()
    const audit =
      auditWriter === undefined
        ? []
        : [
            gauge('latchkey_audit_accepting', Number(auditWriter.isAccepting), HELP.auditAccepting),
            gauge('latchkey_audit_unsigned_events', auditWriter.unsignedEvents, HELP.auditUnsigned),
            gauge('latchkey_audit_head_age_seconds', auditWriter.headAgeSeconds, HELP.auditHeadAge),
          ]
    const end = tally.certificateEndsMs
    return textOf([
      ...audit,
      counter('latchkey_barriers_total', tally.barriers, HELP.barriers),
      counter('latchkey_barrier_seconds_total', tally.barrierSeconds, HELP.barrierSeconds),
      ...(end === undefined
        ? []
        : [gauge('latchkey_certificate_end_timestamp_seconds', end / 1000, HELP.certificate)]),
      gauge('latchkey_erasures_pending', erasing, HELP.erasures),
      counter('latchkey_journal_entries_total', this.#options.journal.head().number, HELP.journal),
      labelled('gauge', 'latchkey_keys', 'state', { enabled, disabled, pending }, HELP.keys),
      labelled(
        'counter',
        'latchkey_reloads_total',
        'result',
        { done: tally.reloads, failed: tally.failedReloads },
        HELP.reloads,
      ),
      counter('latchkey_worker_deaths_total', tally.workerDeaths, HELP.workerDeaths),
      gauge('latchkey_workers', tally.workers, HELP.workers),
    ])
  }

  #countsOfStore(): StoreCounts {
    const nowMs = performance.now()
    if (this.#counts === undefined || nowMs - this.#countedMs >= COUNT_INTERVAL_MS) {
      this.#counts = this.#options.store.counts()
      this.#countedMs = nowMs
    }
    return this.#counts
  }
}

const HELP = {
  auditAccepting: 'Whether the audit file can be written. If not, keys can not be used.',
  auditUnsigned: 'Number of audit events behind the last head that the journal has signed.',
  auditHeadAge: 'Seconds since the journal signed the last head of the audit file.',
  barriers: 'Number of times that a change of keys was waited for in every process.',
  barrierSeconds: 'Seconds that changes of keys were waited for in every process.',
  certificate: 'When the TLS certificate of the server ends, in seconds since 1970.',
  erasures: 'Number of names of erased keys that nobody has been told yet to be off the disk.',
  journal: 'Number of entries of the journal.',
  keys: 'Number of keys in each state, counted at most every 10 seconds.',
  reloads: 'Number of reloads of the configuration or of changed certificate files.',
  workerDeaths: 'Number of worker processes that have died and were replaced.',
  workers: 'Number of processes that serve.',
} as const

function single(kind: Kind, name: string, value: number, help: string): Family {
  return { name, help, kind, samples: [{ labels: [], value }] }
}

const gauge = (name: string, value: number, help: string) => single('gauge', name, value, help)
const counter = (name: string, value: number, help: string) => single('counter', name, value, help)

function labelled(
  kind: Kind,
  name: string,
  label: string,
  values: Readonly<Record<string, number>>,
  help: string,
): Family {
  const samples = Object.entries(values).map(([text, value]) => ({ labels: [[label, text]] as const, value }))
  return { name, help, kind, samples }
}
