/** `keystore.aws`, `keystore.azure`, `keystore.gcp`: the secret managers of the clouds, with KES's messages. */
import { Secret } from './secret.ts'
import type { Section } from './section.ts'

export interface AwsKeystore {
  readonly type: 'aws-secretsmanager'
  readonly endpoint: string
  readonly region: string
  readonly kmsKey: string | undefined
  /** `undefined`: those of the environment, the shared file or the machine's role. */
  readonly credentials:
    | { readonly accessKey: string; readonly secretKey: Secret; readonly token: Secret | undefined }
    | undefined
}

export interface AzureKeystore {
  readonly type: 'azure-keyvault'
  readonly endpoint: string
  /** `undefined`: the default chain. */
  readonly login:
    | {
        readonly type: 'credentials'
        readonly tenantId: string
        readonly clientId: string
        readonly clientSecret: Secret
      }
    | { readonly type: 'managed-identity'; readonly clientId: string }
    | undefined
}

export interface GcpKeystore {
  readonly type: 'gcp-secretmanager'
  readonly projectId: string
  readonly endpoint: string | undefined
  readonly scopes: readonly string[]
  /** `undefined`: the application default credentials. */
  readonly credentials:
    | {
        readonly clientEmail: string
        readonly clientId: string
        readonly privateKeyId: string
        /** PEM, with real line ends. */
        readonly privateKey: Secret
      }
    | undefined
}

export function readAws(section: Section): AwsKeystore {
  const invalid = 'kesconf: invalid AWS secretsmanager keystore: '
  const credentials = section.section('credentials')
  const accessKey = credentials.text('accesskey')
  const secretKey = credentials.secret('secretkey')
  const token = credentials.secret('token')
  const isEmpty = accessKey === undefined && secretKey === undefined && token === undefined
  if (!isEmpty && (accessKey === undefined || secretKey === undefined)) {
    const missing = accessKey === undefined ? 'access key' : 'secret key'
    const hint = "write both 'accesskey' and 'secretkey', or no credentials"
    section.error('keystore', credentials.position, `${invalid}no ${missing} specified`, hint)
  }
  return {
    type: 'aws-secretsmanager',
    endpoint: section.required('endpoint', 'keystore', `${invalid}no endpoint specified`),
    region: section.required('region', 'keystore', `${invalid}no region specified`),
    kmsKey: section.text('kmskey'),
    credentials:
      accessKey === undefined || secretKey === undefined ? undefined : { accessKey, secretKey, token },
  }
}

export function readAzure(section: Section): AzureKeystore {
  const invalid = 'kesconf: invalid Azure keyvault keystore: '
  const credentials = section.section('credentials')
  const managed = section.section('managed_identity')
  const endpoint = section.required('endpoint', 'keystore', `${invalid}no endpoint specified`)
  const require = (from: Section, name: string, what: string) =>
    from.required(name, 'keystore', `${invalid}no ${what} specified`)

  let login: AzureKeystore['login']
  if (managed.isPresent) {
    login = { type: 'managed-identity', clientId: require(managed, 'client_id', 'client ID') }
  }
  if (credentials.isPresent) {
    login = {
      type: 'credentials',
      tenantId: require(credentials, 'tenant_id', 'tenant ID'),
      clientId: require(credentials, 'client_id', 'client ID'),
      clientSecret: credentials.requiredSecret(
        'client_secret',
        'keystore',
        `${invalid}no client secret specified`,
      ),
    }
  }
  if (credentials.isPresent && managed.isPresent) {
    const message = `${invalid}more than one authentication method specified`
    section.error('keystore', managed.position, message, 'keep one of credentials and managed_identity')
  }
  return { type: 'azure-keyvault', endpoint, login }
}

export function readGcp(section: Section): GcpKeystore {
  const invalid = 'kesconf: invalid GCP secretmanager keystore: '
  return {
    type: 'gcp-secretmanager',
    projectId: section.required('project_id', 'keystore', `${invalid}no project ID specified`),
    endpoint: section.text('endpoint'),
    scopes: section.list('scopes').map((scope) => scope.text),
    credentials: readGcpCredentials(section.section('credentials'), invalid),
  }
}

function readGcpCredentials(section: Section, invalid: string): GcpKeystore['credentials'] {
  const names = ['client_email', 'client_id', 'private_key_id', 'private_key']
  if (!names.some((name) => section.has(name))) return undefined
  const require = (name: string, what: string) =>
    section.required(name, 'keystore', `${invalid}no ${what} specified`)
  return {
    clientEmail: require('client_email', 'client email'),
    clientId: require('client_id', 'client ID'),
    privateKeyId: require('private_key_id', 'private key ID'),
    privateKey: new Secret(require('private_key', 'private key').replaceAll('\\n', '\n')),
  }
}
