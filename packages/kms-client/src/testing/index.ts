/**
 * A key server for tests: the real one, in memory, on a free port, whose keys can be locked and erased in a line, and
 * which can be made late, refuse, hang, break off and fail.
 */
export { type ControlServer, serveControl } from './control-server.ts'
export type {
  ErrorOptions,
  FaultKind,
  FaultOptions,
  FaultScope,
  HangOptions,
  LatencyOptions,
  ResetOptions,
  ThrottleOptions,
} from './fault-options.ts'
export type { FaultInfo } from './fault-set.ts'
export type { Fault, Faults } from './faults.ts'
export { KeyServerMissingError, type KeyServerModule } from './key-server.ts'
export type { RequestFilter } from './matching.ts'
export type { RecordedRequest } from './request-log.ts'
export type { KesSandbox } from './sandbox.ts'
export { type StartKesOptions, startKes } from './start-kes.ts'
