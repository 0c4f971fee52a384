/** What `serve` has measured, as tables beside the figures of the Go KES, or as JSON lines. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import {
  formatRange,
  formatRatio,
  GO_KES_CPU_US,
  GO_KES_READY_MS,
  GO_KES_RESIDENT_MB,
  type Range,
} from './figures-to-beat.ts'
import type { Operation } from './load/messages.ts'
import type { HttpProtocol } from './load/target.ts'
import type { ServeOptions } from './serve-options.ts'
import { summarize } from './statistics.ts'
import { formatNumber, formatTable } from './table.ts'

/** What one run says of one operation over one version of HTTP. */
export interface Measurement {
  readonly operation: Operation
  readonly protocol: HttpProtocol
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Undefined where the kernel does not tell. */
  readonly cpuMicros: number | undefined
  readonly failures: number
  readonly firstFailure: string | undefined
  /** Undefined of another load generator. */
  readonly loadBusy: number | undefined
}

/** What one run says of the process as a whole. */
export interface ProcessMeasurement {
  readonly readyMs: number
  readonly residentMb: number | undefined
  readonly peakResidentMb: number | undefined
  readonly proportionalMb: number | undefined
}

export interface Run {
  readonly measurements: readonly Measurement[]
  /** Of Node alone, row by row; undefined unless it was asked for. */
  readonly reference: readonly Measurement[] | undefined
  readonly process: ProcessMeasurement
}

export function formatRuns(options: ServeOptions, runs: readonly Run[]): string {
  const [first] = runs
  if (first === undefined) return ''
  const failure = runs
    .flatMap(({ measurements }) => measurements)
    .find(({ firstFailure }) => firstFailure !== undefined)?.firstFailure
  const header = [
    'operation',
    'protocol',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU µs/request',
    'Go KES µs',
    'ratio',
    ...(options.hasReference ? ['Node alone µs', 'ratio'] : []),
    'failures',
    'load busy %',
  ]
  const rows = first.measurements.map(({ operation, protocol }, index) => {
    const all = runs.flatMap(({ measurements }) => measurements[index] ?? [])
    const figure = (value: (one: Measurement) => number | undefined) => spread(all.map(value))
    const cpu = medianOf(all.map(({ cpuMicros }) => cpuMicros))
    const beat = GO_KES_CPU_US[operation][protocol]
    return [
      operation,
      protocol,
      figure(({ requestsPerSecond }) => requestsPerSecond),
      figure(({ p50Ms }) => p50Ms),
      figure(({ p99Ms }) => p99Ms),
      figure(({ cpuMicros }) => cpuMicros),
      formatRange(beat),
      cpu === undefined ? 'n/a' : formatRatio(cpu, beat),
      ...(options.hasReference ? referenceCells(runs, index, cpu) : []),
      String(all.reduce((sum, { failures }) => sum + failures, 0)),
      figure(({ loadBusy }) => loadBusy && loadBusy * 100),
    ]
  })
  return [
    machineLine(options),
    formatTable(header, rows),
    formatTable(['server process', 'value', 'Go KES', 'ratio'], processRows(runs)),
    'CPU time is the server alone, in ticks of usually 10 ms: measure long enough. Ratio: to the best of the Go KES.\n',
    ...(options.runs > 1 ? [`Medians of ${options.runs} runs, least to most in brackets.\n`] : []),
    ...(failure === undefined ? [] : [`First failure: ${failure}\n`]),
  ].join('\n')
}

/** Node alone on the same row: its CPU time, and how many times that the server takes. */
function referenceCells(runs: readonly Run[], index: number, cpu: number | undefined): string[] {
  const all = runs.map(({ reference }) => reference?.[index]?.cpuMicros)
  const median = medianOf(all)
  const ratio = cpu === undefined || median === undefined ? 'n/a' : `${(cpu / median).toFixed(2)}×`
  return [spread(all), ratio]
}

function processRows(runs: readonly Run[]): string[][] {
  const all = runs.map((each) => each.process)
  const row = (
    title: string,
    value: (one: ProcessMeasurement) => number | undefined,
    beat: Range,
  ): string[] => {
    const median = medianOf(all.map(value))
    const ratio = median === undefined ? 'n/a' : formatRatio(median, beat)
    return [title, spread(all.map(value)), formatRange(beat), ratio]
  }
  return [
    row('ready after, ms', ({ readyMs }) => readyMs, GO_KES_READY_MS),
    row('resident after the load, MB', ({ residentMb }) => residentMb, GO_KES_RESIDENT_MB),
    row('the same, shared pages once, MB', ({ proportionalMb }) => proportionalMb, GO_KES_RESIDENT_MB),
    row('resident at most, MB', ({ peakResidentMb }) => peakResidentMb, GO_KES_RESIDENT_MB),
  ]
}

function machineLine({
  requests,
  concurrency,
  connections,
  hasAudit,
  isVerified,
  loadProgram,
}: ServeOptions): string {
  const generator = loadProgram === undefined ? '' : ', other load generator'
  return (
    `Node ${process.versions.node}, ${availableParallelism()} CPUs; ${requests} requests, ${concurrency} at a time over ` +
    `${connections} connections (HTTP/1.1: ${concurrency}), audit ${hasAudit ? 'on' : 'off'}, ` +
    `tls.auth ${isVerified ? 'on' : 'off'}${generator}; load average ${loadAverage()}\n`
  )
}

/** What else the machine was doing in the last minute. */
function loadAverage(): string {
  return process.platform === 'linux' ? (readFileSync('/proc/loadavg', 'utf8').split(' ')[0] ?? 'n/a') : 'n/a'
}

export function runsAsJsonLines(options: ServeOptions, runs: readonly Run[]): string {
  const lines = runs.flatMap(({ measurements, reference, process: whole }, index) => {
    const common = { run: index + 1, audit: options.hasAudit, verify: options.isVerified }
    return [
      ...measurements.map((measurement, row) => ({
        ...common,
        ...measurement,
        ...(reference && { referenceCpuMicros: reference[row]?.cpuMicros }),
        goKesCpuMicros: GO_KES_CPU_US[measurement.operation][measurement.protocol],
      })),
      { ...common, ...whole, goKesReadyMs: GO_KES_READY_MS, goKesResidentMb: GO_KES_RESIDENT_MB },
    ]
  })
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
}

function known(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined)
}

function medianOf(values: readonly (number | undefined)[]): number | undefined {
  const found = known(values)
  return found.length === 0 ? undefined : summarize(found).median
}

/** `71.2` of one run, `71.2 [68.9–74.0]` of several. */
function spread(values: readonly (number | undefined)[]): string {
  const found = known(values)
  if (found.length === 0) return 'n/a'
  const { median, min, max } = summarize(found)
  const text = formatNumber(median)
  return found.length === 1 ? text : `${text} [${formatNumber(min)}–${formatNumber(max)}]`
}
