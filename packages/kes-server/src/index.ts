/** A key server that speaks the MinIO KES API, with keys that can be disabled, enabled and erased at once. */
export { runConfiguredServer, runDevServer } from './cli/run-server.ts'
export type { Config } from './config/config.ts'
export { devConfig } from './config/dev-config.ts'
export { loadConfigFile, type ParsedConfig, parseConfig } from './config/load-config.ts'
export { ConfigError, type Problem } from './config/problem.ts'
export * from './errors.ts'
export { decodeStoredKey, encodeStoredKey, type StoredKey, StoredKeyError } from './seal/stored-key.ts'
export { type KesServer, type ServerConfig, type ServerOptions, startServer } from './server.ts'
