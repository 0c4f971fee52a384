/** The variables that say which server to talk to, and as whom. */
import type { Environment } from '../config/env.ts'

/** In the order in which they are looked at. */
export const VARIABLES = {
  server: ['MINIO_KES_SERVER', 'KES_SERVER', 'MINIO_KMS_KES_ENDPOINT'],
  apiKey: ['MINIO_KES_API_KEY', 'KES_API_KEY', 'MINIO_KMS_KES_API_KEY'],
  keyFile: ['MINIO_KES_KEY_FILE', 'KES_CLIENT_KEY', 'MINIO_KES_CLIENT_KEY'],
  certFile: ['MINIO_KES_CERT_FILE', 'KES_CLIENT_CERT', 'MINIO_KES_CLIENT_CERT'],
  ca: ['MINIO_KES_CA_PATH', 'KES_CA_PATH', 'MINIO_KMS_KES_CAPATH'],
} as const

export const DEFAULT_SERVER = '127.0.0.1:7373'

/** The first variable that is set decides, even if it is set to nothing, which counts as absent. */
export function lookUp(env: Environment, name: keyof typeof VARIABLES): string | undefined {
  const variable = VARIABLES[name].find((each) => env[each] !== undefined)
  return (variable && env[variable]) || undefined
}

/**
 * The endpoints of a comma-separated list, as `https://host[:port]`: those on this machine first, the others in their
 * order. No port is added: without one it is 443.
 */
export function parseServers(list: string): string[] {
  const endpoints = list
    .split(',')
    .map((each) => each.trim().replace(/^https?:\/\//, ''))
    .filter((each) => each !== '')
    .map((each) => `https://${each}`)
  return [...endpoints.filter(isLocal), ...endpoints.filter((each) => !isLocal(each))]
}

function isLocal(endpoint: string): boolean {
  return /^https:\/\/(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?$/.test(endpoint)
}
