/** `kes policy template`: a policy, and the environment of the program that it is for, ready to paste. */
import { isName } from '../names.ts'
import type { KesCommand } from './command.ts'
import { DEFAULT_SERVER, lookUp, parseServers } from './environment.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

interface Flags {
  readonly identity?: string
}

/** What MinIO calls for its default key, other keys, the health of its KMS and `mc admin kms`. */
const MINIO_KEY_APIS = ['create', 'generate', 'decrypt', 'describe']
const MINIO_PATHS = ['/v1/key/list/*', '/v1/status', '/v1/metrics', '/v1/api']

export function addPolicyTemplateCommand(group: KesCommand, io: Io): void {
  const command = group
    .command('template')
    .description('Print a policy for a program, and the environment of that program')
    .usage('[options] minio <key>')
    .argument('[program]')
    .argument('[key]')
    .option('--identity <identity>', "The program's identity, which 'kes identity of' prints")
    .addHelpText(
      'after',
      `
Examples:
  kes policy template minio minio-default    The default key of a MinIO server, and no other
  kes policy template minio 'minio-*'        Every key whose name begins so; the default key is minio-default`,
    )
  command.action((program: string | undefined, key: string | undefined, { identity }: Flags) => {
    if (program === undefined) throw command.usageError('no program specified')
    if (program !== 'minio') throw command.usageError(`no template for "${program}": there is one for minio`)
    if (key === undefined) throw command.usageError('no key name specified')
    const defaultKey = key.endsWith('*') ? `${key.slice(0, -1)}default` : key
    if (!isName(defaultKey))
      throw new CliError(`key name '${key}' is empty, too long or contains invalid characters`)
    const servers = parseServers(lookUp(io.env, 'server') ?? DEFAULT_SERVER)
    io.stdout.write(minioTemplate(key, defaultKey, identity, servers.join(',')))
  })
}

function minioTemplate(
  key: string,
  defaultKey: string,
  identity: string | undefined,
  servers: string,
): string {
  const allow = [...MINIO_KEY_APIS.map((api) => `/v1/key/${api}/${key}`), ...MINIO_PATHS]
  return `# In the config file of the key server, below 'policy':
policy:
  minio:
    allow:
${allow.map((path) => `    - ${path}\n`).join('')}    identities:
    - ${identity ?? `\${MINIO_IDENTITY}`}

# In the environment of MinIO. The API key is from 'kes identity new', which prints its identity, too.
MINIO_KMS_KES_ENDPOINT=${servers}
MINIO_KMS_KES_KEY_NAME=${defaultKey}
MINIO_KMS_KES_API_KEY=kes:v1:...
MINIO_KMS_KES_CAPATH=/path/to/the/ca/of/the/key/server.crt
`
}
