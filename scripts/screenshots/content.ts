/** Keys and objects as an office might have them; no real names. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import {
  CreateBucketCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { KesClient } from '@latchkey/kms-client'
import type { Sandbox } from '../../packages/play/src/sandbox/sandbox.ts'

const KEYS = ['archive-2024', 'contracts', 'invoices', 'letters', 'payroll', 'photos'] as const

export const LOCKED = { key: 'contracts', bucket: 'office', object: 'contracts/lease.pdf' } as const

export async function fill({ facts, apiKey, secretKey }: Sandbox): Promise<void> {
  await using kes = new KesClient({ endpoint: facts.keyServer, apiKey, caPath: facts.caFile })
  for (const key of KEYS) await kes.createKey(key)
  const s3 = new S3Client({
    endpoint: facts.node,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: facts.accessKey, secretAccessKey: secretKey },
    requestHandler: { httpsAgent: new Agent({ ca: readFileSync(facts.caFile) }) },
  })
  for (const Bucket of ['office', 'photos']) {
    await s3.send(new CreateBucketCommand({ Bucket }))
    await s3.send(
      new PutBucketEncryptionCommand({
        Bucket,
        ServerSideEncryptionConfiguration: {
          Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
        },
      }),
    )
  }
  const objects = [
    ['office', LOCKED.object, LOCKED.key, 48_210],
    ['office', 'contracts/maintenance.pdf', LOCKED.key, 31_402],
    ['office', 'invoices/4711.pdf', 'invoices', 12_040],
    ['photos', 'roof.jpg', 'photos', 204_800],
  ] as const
  for (const [Bucket, Key, SSEKMSKeyId, bytes] of objects) {
    await s3.send(
      new PutObjectCommand({
        Bucket,
        Key,
        Body: randomBytes(bytes),
        ContentType: Key.endsWith('.pdf') ? 'application/pdf' : 'image/jpeg',
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId,
      }),
    )
  }
  s3.destroy()
  await kes.disableKey(LOCKED.key)
  await kes.deleteKey('archive-2024', { after: '7d' })
}
