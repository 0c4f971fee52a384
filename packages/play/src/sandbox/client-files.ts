/** What clients of the sandbox take: the variables, as a file for a shell to read, and a config of curl. */

export interface ClientSettings {
  /** URLs. */
  readonly keyServer: string
  readonly node: string
  readonly caFile: string
  readonly apiKey: string
  readonly accessKey: string
  readonly secretKey: string
}

/** By their names: of `kes`, of `latchkey-node` and every AWS SDK, and of MinIO's client. */
export function clientVariables(settings: ClientSettings): Record<string, string> {
  const { keyServer, node, caFile, apiKey, accessKey, secretKey } = settings
  return {
    KES_SERVER: keyServer,
    KES_API_KEY: apiKey,
    KES_CA_PATH: caFile,
    LATCHKEY_NODE: node,
    LATCHKEY_NODE_CA: caFile,
    AWS_ENDPOINT_URL: node,
    AWS_CA_BUNDLE: caFile,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: accessKey,
    AWS_SECRET_ACCESS_KEY: secretKey,
    MC_HOST_sandbox: node.replace('://', `://${accessKey}:${secretKey}@`),
  }
}

export function shellEnvironment(settings: ClientSettings): string {
  const lines = Object.entries(clientVariables(settings)).map(
    ([name, value]) => `export ${name}=${quote(value)}`,
  )
  return `# Written by 'npm start' at each start, for a shell: . FILE. It holds secrets.\n${lines.join('\n')}\n`
}

/** A word for a POSIX shell. */
export function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** With it curl signs what it sends to the node: `curl -K FILE URL`. No secret stands on its command line. */
export function curlConfig({ caFile, accessKey, secretKey }: ClientSettings): string {
  const options = {
    'aws-sigv4': 'aws:amz:us-east-1:s3',
    user: `${accessKey}:${secretKey}`,
    // Of an upload that it reads from a file, curl signs a digest that is not the file's.
    header: 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
    cacert: caFile,
  }
  return Object.entries(options)
    .map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`)
    .join('')
}
