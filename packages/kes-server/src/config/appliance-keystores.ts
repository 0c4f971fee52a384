/** `keystore.fortanix`, `keystore.gemalto`, `keystore.entrust`: key managers in a box, with KES's messages. */
import type { Secret } from './secret.ts'
import type { Section } from './section.ts'

export interface FortanixKeystore {
  readonly type: 'fortanix-sdkms'
  readonly endpoint: string
  readonly groupId: string | undefined
  readonly apiKey: Secret
  readonly caPath: string | undefined
}

export interface KeySecureKeystore {
  readonly type: 'gemalto-keysecure'
  readonly endpoint: string
  readonly refreshToken: Secret
  readonly domain: string | undefined
  readonly caPath: string | undefined
}

export interface KeyControlKeystore {
  readonly type: 'entrust-keycontrol'
  readonly endpoint: string
  readonly vaultId: string
  readonly boxId: string
  readonly username: string
  readonly password: Secret
  readonly caPath: string | undefined
}

export function readFortanix(section: Section): FortanixKeystore {
  const invalid = 'kesconf: invalid fortanix SDKMS keystore: '
  return {
    type: 'fortanix-sdkms',
    endpoint: section.required('endpoint', 'keystore', `${invalid}no endpoint specified`),
    groupId: section.text('group_id'),
    apiKey: section
      .section('credentials')
      .requiredSecret('key', 'keystore', `${invalid}no API key specified`),
    caPath: section.section('tls').text('ca'),
  }
}

export function readKeySecure(section: Section): KeySecureKeystore {
  const invalid = 'kesconf: invalid gemalto keysecure keystore: '
  const credentials = section.section('credentials')
  return {
    type: 'gemalto-keysecure',
    endpoint: section.required('endpoint', 'keystore', `${invalid}no endpoint specified`),
    refreshToken: credentials.requiredSecret('token', 'keystore', `${invalid}no token specified`),
    domain: credentials.text('domain'),
    caPath: section.section('tls').text('ca'),
  }
}

export function readKeyControl(section: Section): KeyControlKeystore {
  const invalid = 'kesconf: invalid Entrust KeyControl keystore: '
  const credentials = section.section('credentials')
  return {
    type: 'entrust-keycontrol',
    endpoint: section.required('endpoint', 'keystore', `${invalid}no endpoint specified`),
    vaultId: section.required('vault_id', 'keystore', `${invalid}no vault ID specified`),
    boxId: section.required('box_id', 'keystore', `${invalid}no box ID specified`),
    username: credentials.required('username', 'keystore', `${invalid}no username specified`),
    password: credentials.requiredSecret('password', 'keystore', `${invalid}no password specified`),
    caPath: section.section('tls').text('ca'),
  }
}
