/** Everything that can be said of a config file, and of the files that it names, before a server starts. */
import { CredentialsError, readClientCas, readCredentials } from '../tls/credentials.ts'
import type { ConfigDraft, TlsConfig } from './config.ts'
import { loadConfigFile, type Remark } from './load-config.ts'
import { ConfigError, type Problem } from './problem.ts'
import { explainUnsupported } from './supported-stores.ts'

/** In file order; a field that does not exist is an error here. Nothing is thrown for a file that is wrong. */
export function findProblems(file: string): readonly Problem[] {
  try {
    return loadConfigFile(file, { strict: true, examine }).warnings
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

function examine({ tls, keystore, console }: ConfigDraft): Remark[] {
  const unsupported = keystore === undefined ? undefined : explainUnsupported({ keystore })
  const remarks = findTlsProblems(tls, console?.node?.caPath)
  if (unsupported === undefined) return remarks
  return [
    ...remarks,
    {
      severity: 'warning',
      field: 'keystore',
      message: unsupported,
      hint: 'its fields are checked all the same',
    },
  ]
}

const CA_FILES = 'name a PEM file of certificates, or a folder of such files'
const HINTS: Readonly<Record<string, string>> = {
  'tls.key': "name the PEM file of the certificate's private key",
  'tls.cert': 'name a PEM file with the certificate, and its chain behind it',
  'tls.ca': CA_FILES,
  'console.node.ca': CA_FILES,
}

/** Of the files that are named; that one is not, is an error of the config. */
function findTlsProblems(
  { keyFile, certFile, password, caPath }: TlsConfig,
  nodeCaPath: string | undefined,
): Remark[] {
  const checks: [field: string, isNamed: boolean, check: () => unknown][] = [
    [
      'tls.cert',
      keyFile !== '' && certFile !== '',
      () => readCredentials(keyFile, certFile, password?.reveal()),
    ],
    ['tls.ca', caPath !== undefined, () => readClientCas(caPath ?? '')],
    ['console.node.ca', nodeCaPath !== undefined, () => readClientCas(nodeCaPath ?? '')],
  ]
  return checks.flatMap(([field, isNamed, check]) => {
    try {
      if (isNamed) check()
      return []
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error
      const named = error.fault === undefined ? field : 'tls.key'
      const hint = error.remedy ?? HINTS[named]
      return [{ severity: 'error' as const, field: named, message: error.message, hint }]
    }
  })
}
