/** `log`: the levels of the two logs, and the audit log's file, which is ours. */
import { type AuditFileConfig, DEFAULT_LOG, type LogConfig } from './config.ts'
import { formatDuration, MINUTE, SECOND, toMilliseconds } from './duration.ts'
import { LogLevelError, parseLogLevel } from './log-level.ts'
import type { Section } from './section.ts'
import { formatSize, parseSize } from './size.ts'

const HOUR = 60n * MINUTE
const DEFAULT_MAX_SIZE = '64MiB'
const MAX_BYTES_MIN = 4096
const MAX_BYTES_MAX = 2 ** 40
const DEFAULT_MAX_AGE = 24n * HOUR
const KEEP_MAX = 1_000_000

export function readLog(log: Section): LogConfig {
  const errorLevel = readLevel(log, 'error', DEFAULT_LOG.errorLevel)
  if (!log.isMapping('audit')) {
    return { errorLevel, auditLevel: readLevel(log, 'audit', DEFAULT_LOG.auditLevel), auditFile: undefined }
  }
  const audit = log.section('audit')
  return {
    errorLevel,
    auditLevel: readLevel(audit, 'stdout', DEFAULT_LOG.auditLevel),
    auditFile: readAuditFile(audit),
  }
}

function readLevel(section: Section, name: string, otherwise: number): number {
  const text = section.text(name)
  if (text === undefined) return otherwise
  try {
    return parseLogLevel(text)
  } catch (error) {
    if (!(error instanceof LogLevelError)) throw error
    const hint = 'write DEBUG, INFO, WARN, ERROR, on or off'
    section.error('log', section.positionOf(name), error.message, hint)
    return otherwise
  }
}

function readAuditFile(audit: Section): AuditFileConfig | undefined {
  const path = audit.required('file', 'log', 'kesconf: invalid audit log: no file specified')
  if (/[/\\]$/.test(path)) {
    const message = `kesconf: invalid audit log: '${path}' is no file`
    audit.error('log', audit.positionOf('file'), message, `write '${path}audit.jsonl'`)
  }
  return {
    path,
    maxBytes: readMaxSize(audit),
    maxAgeMs: toMilliseconds(readDuration(audit, 'max_age', DEFAULT_MAX_AGE, MINUTE)),
    keep: readKeep(audit),
    headIntervalMs: toMilliseconds(readDuration(audit, 'head_interval', SECOND, SECOND, 24n * HOUR)),
  }
}

function readMaxSize(audit: Section): number {
  const text = audit.text('max_size') ?? DEFAULT_MAX_SIZE
  const bytes = parseSize(text) ?? 0
  if (bytes < MAX_BYTES_MIN || bytes > MAX_BYTES_MAX) {
    const hint = `write a size from ${formatSize(MAX_BYTES_MIN)} to ${formatSize(MAX_BYTES_MAX)}`
    const message = `kesconf: invalid audit log: invalid max_size '${text}'`
    audit.error('log', audit.positionOf('max_size'), message, hint)
  }
  return bytes
}

/** `0s` means the default, as elsewhere in this file. */
function readDuration(audit: Section, name: string, otherwise: bigint, min: bigint, max?: bigint): bigint {
  const duration = audit.duration(name) || otherwise
  if (duration >= min && (max === undefined || duration <= max)) return duration
  const range =
    max === undefined ? `${formatDuration(min)} or more` : `${formatDuration(min)} to ${formatDuration(max)}`
  const message = `kesconf: invalid audit log: invalid ${name} '${formatDuration(duration)}'`
  audit.error('log', audit.positionOf(name), message, `write ${range}`)
  return otherwise
}

function readKeep(audit: Section): number | undefined {
  const text = audit.text('keep')
  return text === undefined || text === 'all' ? undefined : audit.integer('keep', 1, KEEP_MAX)
}
