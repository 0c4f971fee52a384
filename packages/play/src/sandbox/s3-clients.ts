/** Which S3 clients the machine has, so that what is printed can be typed. */
import { execFile } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const VERSION_MAX_MS = 2000
/** By major version. */
const AWS_MINOR_MIN = new Map([
  [1, 29],
  [2, 13],
])

export interface S3Clients {
  /** The AWS CLI, of a version that knows `AWS_ENDPOINT_URL`: an older one would ask Amazon. */
  readonly hasAws: boolean
  /** MinIO's client. Midnight Commander has the same name. */
  readonly hasMc: boolean
}

export async function findS3Clients(path = process.env.PATH ?? ''): Promise<S3Clients> {
  const [aws, mc] = await Promise.all([versionOf('aws', path), versionOf('mc', path)])
  const [, major, minor] = /^aws-cli\/(\d+)\.(\d+)\./m.exec(aws)?.map(Number) ?? []
  return {
    hasAws: major !== undefined && (minor ?? 0) >= (AWS_MINOR_MIN.get(major) ?? 0),
    hasMc: /^mc version /m.test(mc),
  }
}

function findProgram(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false // Missing, or not for this user: another folder may have it.
  }
}

/** @returns what a program says of itself; nothing if it is missing, or slow. */
function versionOf(name: string, path: string): Promise<string> {
  const program = findProgram(name, path)
  if (program === undefined) return Promise.resolve('')
  return new Promise((done) => {
    execFile(program, ['--version'], { timeout: VERSION_MAX_MS }, (_, stdout) => done(stdout))
  })
}
