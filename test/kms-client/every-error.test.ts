// Both sides of docs/errors.md: what the server sends, the client rebuilds.
import { describe, expect, test } from 'vitest'
import { errorReply } from '../../packages/kes-server/src/http/json-reply.ts'
import * as client from '../../packages/kms-client/src/api-error.ts'
import { EVERY_ERROR } from '../every-error.ts'

/** Rare ones, for which the client has no class of their own. */
const GENERIC = [
  'TooManyCertificatesError',
  'MethodNotAllowedError',
  'RequestTimeoutError',
  'InvalidPathError',
  'InvalidParameterError',
  'InternalError',
  'WrongSecretError',
  'InvalidSecretError',
  'SlotNotFoundError',
  'SealConflictError',
  'BackupNotFoundError',
  'BackupConflictError',
  'BackupNoSpaceError',
  'NotInConsoleError',
]
const RENAMED: Readonly<Record<string, string>> = { StoreError: 'StoreUnavailableError' }

/** The client's class for one of the server's. */
function expectedName(serverName: string): string {
  return GENERIC.includes(serverName) ? 'KesApiError' : (RENAMED[serverName] ?? serverName)
}

describe.each(Object.entries(EVERY_ERROR))('%s', (name, instances) => {
  test.each(instances.map((error) => [error.message, error] as const))('%s', (_, error) => {
    const rebuilt = client.decodeApiError(error.status, 'application/json', errorReply(error))
    expect(rebuilt.name).toBe(expectedName(name))
    expect(rebuilt).toMatchObject({ status: error.status, code: error.code, message: error.message })
  })
})

test('every class of the client stands for an error of the server', () => {
  const classes = Object.entries(client).filter(
    ([, each]) => each.prototype instanceof client.KesApiError || each === client.KesApiError,
  )
  const used = new Set(Object.keys(EVERY_ERROR).map(expectedName))
  expect(classes.map(([name]) => name).filter((name) => !used.has(name))).toEqual([])
})
