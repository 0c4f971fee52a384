/** What the process that writes knows of the whole server, beside requests. */
export class ServerTally {
  /** Milliseconds since 1970; undefined before the first certificate is in use. */
  certificateEndsMs: number | undefined
  /** Processes that serve. */
  workers = 1
  /** Workers that died and were replaced. */
  workerDeaths = 0
  /** How often it was waited until a change of keys held in every process, and for how long together. */
  barriers = 0
  barrierSeconds = 0
  reloads = 0
  failedReloads = 0
}
