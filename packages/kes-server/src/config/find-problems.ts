/** Everything that can be said of a config file, and of the files that it names, before a server starts. */
import { CredentialsError, readClientCas, readCredentials } from '../tls/credentials.ts'
import { loadConfigFile, type ParsedConfig } from './load-config.ts'
import { ConfigError, type Problem } from './problem.ts'
import { findUnsupportedStore } from './supported-stores.ts'

/** In file order; a field that does not exist is an error here. Nothing is thrown for a file that is wrong. */
export function findProblems(file: string): readonly Problem[] {
  let parsed: ParsedConfig
  try {
    parsed = loadConfigFile(file, { strict: true })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  const unsupported = findUnsupportedStore(parsed)
  return [...findTlsProblems(parsed), ...(unsupported === undefined ? [] : [unsupported])]
}

function findTlsProblems({ config: { tls }, positions }: ParsedConfig): Problem[] {
  const checks: [field: string, check: () => unknown][] = [
    ['tls.cert', () => readCredentials(tls.keyFile, tls.certFile, tls.password?.reveal())],
    ['tls.ca', () => tls.caPath && readClientCas(tls.caPath)],
  ]
  return checks.flatMap(([field, check]) => {
    try {
      check()
      return []
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error
      const { line, column } = positions.get(field) ?? { line: undefined, column: undefined }
      return [{ severity: 'error' as const, line, column, message: error.message, hint: undefined }]
    }
  })
}
