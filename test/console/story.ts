/** Key server, storage node and console as an operator has them: the real programs, each a process of its own. */
import { join } from 'node:path'
import { S3Client } from '@aws-sdk/client-s3'
import { ApiKey, KesClient } from '@latchkey/kms-client'
import { keyPairOf } from '../sandbox/certificates.ts'
import { Installation } from '../server-process/installation.ts'
import { freePort } from '../server-process/server-process.ts'
import { startNodeProcess } from '../storage-node/node-process.ts'

const USER = { accessKeyId: 'story', secretAccessKey: 'story-secret-key' }

export interface Programs extends AsyncDisposable {
  /** What a browser opens. */
  readonly consoleOrigin: string
  /** The admin's. */
  readonly apiKey: ApiKey
  /** Of an identity whose policy allows to create, generate and decrypt, and nothing else. */
  readonly limitedApiKey: ApiKey
  /** Past the console, as the admin. */
  readonly keys: KesClient
  /** Past the console, straight to the node. */
  readonly s3: S3Client
  /** PEM, as the store has exported it. */
  readonly journalPublicKeyFile: string
}

export async function startPrograms(): Promise<Programs> {
  await using running = new AsyncDisposableStack()
  const nodeKey = ApiKey.generate()
  const allow = ['/v1/key/create/*', '/v1/key/generate/*', '/v1/key/decrypt/*']
  const installation = running.use(
    await Installation.make({ workers: 1, policies: { node: { allow, identities: [nodeKey.identity] } } }),
  )
  const nodeUrl = `http://127.0.0.1:${await freePort()}`
  const node = { endpoint: nodeUrl, access_key: USER.accessKeyId, secret_key: USER.secretAccessKey }
  const webConsole = { address: '127.0.0.1:0', node }
  installation.editConfig('"version": "v1"', `"version": "v1", "console": ${JSON.stringify(webConsole)}`)
  const server = running.use(await installation.start())
  const url = `https://127.0.0.1:${server.port}`

  const storage = running.use(
    startNodeProcess([join(installation.folder, 'node'), '--address', new URL(nodeUrl).host], {
      MINIO_KMS_KES_ENDPOINT: url,
      MINIO_KMS_KES_API_KEY: nodeKey.toString(),
      MINIO_KMS_KES_CAPATH: installation.write('ca.crt', installation.ca),
      MINIO_KMS_KES_KEY_NAME: 'node-default',
      MINIO_ROOT_USER: USER.accessKeyId,
      MINIO_ROOT_PASSWORD: USER.secretAccessKey,
    }),
  )
  if ((await storage.ready) === undefined) throw new Error(`the node did not start: ${storage.stderr()}`)

  const apiKey = ApiKey.fromPrivateKey(keyPairOf('admin').privateKey)
  const keys = running.use(new KesClient({ endpoint: url, apiKey, ca: installation.ca }))
  const s3 = running.adopt(
    new S3Client({
      ...{ endpoint: nodeUrl, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1 },
      credentials: USER,
    }),
    (client) => client.destroy(),
  )
  const programs = running.move()
  return {
    consoleOrigin: new URL(/Console\s+· (\S+)/.exec(server.stdout)?.[1] ?? '').origin,
    apiKey,
    limitedApiKey: nodeKey,
    keys,
    s3,
    journalPublicKeyFile: `${installation.storeFile}.journal.pub`,
    [Symbol.asyncDispose]: () => programs.disposeAsync(),
  }
}
