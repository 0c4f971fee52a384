/** Health checks, which anybody may make. */
import type { Kms } from '@latchkey/kms-client/kms'
import { EMPTY_OK, type Reply } from '../s3/call.ts'

/** Whether the node can encrypt: one data key under the default key, which is thrown away. */
async function ready(kms: Kms | undefined): Promise<Reply> {
  if (kms === undefined) return EMPTY_OK
  const made = await kms.generateKey({ context: { healthcheck: '' } })
  made.plaintext[Symbol.dispose]()
  return EMPTY_OK
}

async function live(): Promise<Reply> {
  return EMPTY_OK
}

/** Whether data can be written, whatever becomes of keys. */
async function cluster(): Promise<Reply> {
  return { status: 200, headers: { 'x-minio-write-quorum': '1', 'x-minio-storage-class-defaults': 'false' } }
}

/** @returns undefined for what is no health check. */
export function findHealthCheck(
  method: string,
  path: string,
  kms: Kms | undefined,
): (() => Promise<Reply>) | undefined {
  if (method !== 'GET' && method !== 'HEAD') return undefined
  switch (path) {
    case '/minio/health/live':
      return live
    case '/minio/health/ready':
      return () => ready(kms)
    case '/minio/health/cluster':
    case '/minio/health/cluster/read':
      return cluster
    default:
      return undefined
  }
}
