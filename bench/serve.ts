/** What does a request cost? Drives a server process over mutual TLS and takes its CPU time. */
import { TemporaryFolder } from './cleanup.ts'
import { runExternalLoad } from './load/external-load.ts'
import { LoadProcess } from './load/load-process.ts'
import type { Operation } from './load/messages.ts'
import type { HttpProtocol } from './load/target.ts'
import type { Program } from './program.ts'
import { HELP, parseOptions, type ServeOptions } from './serve-options.ts'
import { formatRuns, type Measurement, type Run, runsAsJsonLines } from './serve-report.ts'
import { monotonicMicros, readProfile, topSelfTimes } from './server/cpu-profile.ts'
import { cpuMicrosPerRequest } from './server/process-usage.ts'
import { ServerProcess } from './server/server-process.ts'
import { Workspace } from './server/workspace.ts'
import { formatTable } from './table.ts'

const KEY_NAME = 'bench'
const PROFILE_LINES = 20

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const runs: Run[] = []
  for (let number = 1; number <= options.runs; number += 1) runs.push(await runOnce(options))
  process.stdout.write(options.isJson ? runsAsJsonLines(options, runs) : formatRuns(options, runs))
  return runs.every(({ measurements }) => measurements.every(({ failures }) => failures === 0)) ? 0 : 1
}

async function runOnce(options: ServeOptions): Promise<Run> {
  const { hasAudit, isVerified, isProfiled, workers } = options
  const audit = hasAudit ? 'stdout' : 'off'
  using workspace = await Workspace.create({ audit, isVerified, workers, keyNames: [KEY_NAME] })
  using profile = new TemporaryFolder()
  const nodeArgs = isProfiled ? ['--cpu-prof', `--cpu-prof-dir=${profile.path}`] : []
  await using server = await ServerProcess.start(workspace, nodeArgs)
  const loadedMicros = monotonicMicros()
  const measurements = await measureAll(server, options)
  const usage = server.usage()
  await server.stop()
  if (isProfiled) process.stderr.write(formatProfile(profile.path, loadedMicros))
  return {
    measurements,
    reference: options.hasReference ? await measureReference(workspace, options) : undefined,
    process: {
      readyMs: server.readyMs,
      residentMb: usage && usage.residentBytes / 1e6,
      peakResidentMb: usage && usage.peakResidentBytes / 1e6,
      proportionalMb: usage && usage.proportionalBytes / 1e6,
    },
  }
}

async function measureReference(workspace: Workspace, options: ServeOptions): Promise<Measurement[]> {
  await using node = await ServerProcess.startReference(workspace)
  return await measureAll(node, options)
}

async function measureAll(server: ServerProcess, options: ServeOptions): Promise<Measurement[]> {
  const measurements: Measurement[] = []
  for (const operation of options.operations) {
    for (const protocol of options.protocols) {
      measurements.push(await measure(server, options, operation, protocol))
    }
  }
  return measurements
}

async function measure(
  server: ServerProcess,
  options: ServeOptions,
  operation: Operation,
  protocol: HttpProtocol,
): Promise<Measurement> {
  // A handshake costs so much more that a tenth of the requests tells as much.
  const share = operation === 'connect' ? 10 : 1
  const requests = Math.ceil(options.requests / share)
  const { concurrency, connections, loadProgram } = options
  const plan = { target: server.target, operation, protocol, keyName: KEY_NAME, concurrency, connections }
  if (loadProgram !== undefined) {
    const result = await runExternalLoad({
      ...plan,
      program: loadProgram,
      requests,
      serverPid: server.pid,
    })
    const cpuMicros = process.platform === 'linux' ? result.cpuMicrosPerRequest : undefined
    return { ...result, operation, protocol, cpuMicros, firstFailure: undefined, loadBusy: undefined }
  }
  const warmUp = Math.ceil(options.warmUp / share)
  await using load = await LoadProcess.start({ ...plan, kind: 'uniform', requests, warmUp })
  const before = server.usage()
  const result = await load.run()
  const cpuMicros = cpuMicrosPerRequest(before, server.usage(), requests)
  return { operation, protocol, cpuMicros, firstFailure: undefined, ...result }
}

function formatProfile(folder: string, fromMicros: number): string {
  const rows = topSelfTimes(readProfile(folder), fromMicros, PROFILE_LINES).map(({ place, share }) => [
    place,
    `${(share * 100).toFixed(1)} %`,
  ])
  return `${formatTable(['self time under load', 'share of CPU time'], rows)}\n`
}

export const serve: Program = {
  question:
    'What does a request cost? CPU time, latency and memory of a server under load, beside the Go KES.',
  help: HELP,
  run,
}
