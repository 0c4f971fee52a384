/** From the environment to a KMS. */
import { existsSync } from 'node:fs'
import { KesClient, type KesClientOptions } from '../client.ts'
import { KesClientError } from '../errors.ts'
import { BuiltinKms } from './builtin-kms.ts'
import {
  type Environment,
  type EnvironmentOptions,
  type KesConfig,
  readClientFile,
  readKmsConfig,
  unusable,
} from './environment.ts'
import { KesKms } from './kes-kms.ts'
import type { Kms } from './kms.ts'

export interface KmsOptions
  extends EnvironmentOptions,
    Pick<
      KesClientOptions,
      'timeoutMs' | 'retries' | 'retryDelayMs' | 'attemptTimeoutMs' | 'protocol' | 'onReloadError'
    > {}

/**
 * The KMS that the environment names, by MinIO's variables and rules. It connects at the first call.
 *
 *     const kms = openKms(process.env)
 *     if (kms === undefined) throw new Error('no KMS is configured')
 *     await kms.start()
 *
 * @returns `undefined` if the environment names none.
 * @throws {@link KmsConfigError}, whose message is MinIO's.
 */
export function openKms(env: Environment, options: KmsOptions = {}): Kms | undefined {
  const config = readKmsConfig(env, options)
  if (config === undefined) return undefined
  if (config.type === 'kes') return new KesKms(openClient(config, options), config.defaultKey)
  using secretKey = config.secretKey
  return new BuiltinKms(config.defaultKey, secretKey.bytes)
}

function openClient({ endpoints, credentials, caPath }: KesConfig, options: KmsOptions): KesClient {
  const hasApiKey = 'apiKey' in credentials
  if (!hasApiKey) {
    readClientFile('certificate', credentials.certFile)
    readClientFile('private key', credentials.keyFile)
  }
  try {
    return new KesClient({
      ...options,
      endpoint: endpoints,
      ...(hasApiKey ? credentials : { certificate: credentials }),
      // Where nothing is, MinIO looks no further.
      ...(caPath === undefined || !existsSync(caPath) ? {} : { caPath, trustsSystemCas: true }),
    })
  } catch (error) {
    if (error instanceof TypeError || error instanceof KesClientError) throw unusable(error.message)
    throw error
  }
}
