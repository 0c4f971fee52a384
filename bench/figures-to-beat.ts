/**
 * What the Go KES, in its last release, takes for the same work.
 *
 * Measured over mutual TLS with a load generator in Go, one that `serve --load` can drive; ranges where several runs
 * differed. They are of another time and perhaps another machine: take the ratio as a hint, and to be sure run both
 * servers in turn on one machine.
 */
import type { Operation } from './load/messages.ts'
import type { HttpProtocol } from './load/target.ts'

export interface Range {
  readonly from: number
  readonly to: number
}

/** CPU time of the server alone, in microseconds a request. */
export const GO_KES_CPU_US: Readonly<Record<Operation, Readonly<Record<HttpProtocol, Range>>>> = {
  generate: { h2: { from: 55, to: 71 }, 'http/1.1': { from: 31, to: 44 } },
  decrypt: { h2: { from: 55, to: 71 }, 'http/1.1': { from: 31, to: 44 } },
  version: { h2: { from: 39, to: 39 }, 'http/1.1': { from: 20, to: 20 } },
  // A new connection: the full handshake with the client's certificate, one request, the end.
  connect: { h2: { from: 620, to: 620 }, 'http/1.1': { from: 620, to: 620 } },
}

/** From the start of the process to its first answer, in milliseconds. */
export const GO_KES_READY_MS: Range = { from: 60, to: 60 }

/** Resident memory under load, in megabytes of 10^6 bytes. */
export const GO_KES_RESIDENT_MB: Range = { from: 157, to: 194 }

export function formatRange({ from, to }: Range): string {
  return from === to ? String(from) : `${from}–${to}`
}

/** How many times the best of the Go KES's figures this one is: below 1 it is beaten. */
export function formatRatio(value: number, { from }: Range): string {
  return `${(value / from).toFixed(2)}×`
}
