/** What `kes identity` takes as an argument: an API key, or a PEM file of a certificate or private key. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { ApiKey, decryptPrivateKey, identityOfCertificate, isEncryptedPrivateKey } from '@latchkey/kms-client'
import { readTextFile } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

const API_KEY_PREFIX = 'kes:v1:'
const BLOCK = /-----BEGIN ([^-\n]+)-----.*?-----END \1-----/gs

interface PemBlock {
  readonly type: string
  readonly text: string
}

/** The identity of an API key or of the first certificate of a file. @throws CliError, InvalidApiKeyError */
export function identityOf(source: string): string {
  if (source.startsWith(API_KEY_PREFIX)) return ApiKey.parse(source).identity
  const blocks = readBlocks(source)
  if (blocks.some(({ type }) => type !== 'CERTIFICATE')) {
    throw new CliError(`failed to parse certificate in '${source}': https: unsupported PEM data block`)
  }
  const [first] = blocks
  if (first === undefined)
    throw new CliError(`failed to parse certificate in '${source}': https: no PEM data block`)
  return identityOfBlock(source, first)
}

/** As {@link identityOf}; but for a file with a private key the API key of that. */
export async function identityOrApiKeyOf(
  io: Io,
  source: string,
): Promise<{ identity: string; apiKey?: string }> {
  if (source.startsWith(API_KEY_PREFIX)) return { identity: ApiKey.parse(source).identity }
  for (const block of readBlocks(source)) {
    if (block.type === 'CERTIFICATE') return { identity: identityOfBlock(source, block) }
    if (block.type.endsWith('PRIVATE KEY')) {
      const apiKey = await apiKeyOfBlock(io, source, block)
      return { identity: apiKey.identity, apiKey: apiKey.toString() }
    }
  }
  throw new CliError(`'${source}' contains no valid PEM certificate or private key`)
}

function readBlocks(path: string): PemBlock[] {
  return [...readTextFile(path).matchAll(BLOCK)].map(([text, type = '']) => ({ text, type }))
}

function identityOfBlock(path: string, { text }: PemBlock): string {
  try {
    return identityOfCertificate(new X509Certificate(text))
  } catch {
    throw new CliError(`'${path}' contains no valid PEM certificate or private key`)
  }
}

async function apiKeyOfBlock(io: Io, path: string, { text }: PemBlock): Promise<ApiKey> {
  const privateKey = isEncryptedPrivateKey(text)
    ? decryptPrivateKey(text, await io.readPassword('Enter password for private key: '))
    : parsePrivateKey(path, text)
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new CliError(`'${path}' contains unsupported private key. Only ed25519 private keys are supported`)
  }
  return ApiKey.fromPrivateKey(privateKey)
}

function parsePrivateKey(path: string, text: string) {
  try {
    return createPrivateKey(text)
  } catch {
    throw new CliError(`'${path}' contains no valid PEM certificate or private key`)
  }
}
