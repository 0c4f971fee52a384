/** An upload from an HTML form: `POST /bucket` with multipart/form-data, signed by the policy in the form. */
import { Readable } from 'node:stream'
import { Busboy } from '@fastify/busboy'
import { type Call, type Reply, xmlReply } from './call.ts'
import { S3Error } from './errors.ts'
import { measureContent } from './measured-content.ts'
import type { NodeServices } from './node-services.ts'
import { encryptionHeaders, needsMd5, writeEncryption } from './object-encryption.ts'
import { quotedEtag, readObjectHeaders } from './object-headers.ts'
import { writeObject } from './object-write.ts'
import { checkPolicy, type Form, readPolicy } from './post-policy.ts'
import { type SecretOf, verifyPolicySignature } from './signature-v4.ts'
import { checkKey } from './target.ts'
import { encodeUri } from './uri.ts'
import { element, writeXml } from './xml.ts'

const FIELD_BYTES_MAX = 1024 * 1024
const FIELDS_MAX = 100
/** In the key of a form: stands for the name of the file. */
const FILE_NAME = '\x24{filename}'
const FILE_BYTES_MAX = 5 * 1024 ** 3

interface Upload {
  readonly form: Form
  readonly fileName: string
  readonly file: Readable
}

export async function postObject(
  services: NodeServices,
  call: Omit<Call, 'signed'>,
  secretOf: SecretOf,
  now: number,
): Promise<Reply> {
  const { bucket } = call.target
  const { form, fileName, file } = await readForm(call)
  const policy = authorize(form, bucket, secretOf, now)
  services.store.bucket(bucket)
  const key = checkKey((form.get('key') ?? '').replaceAll(FILE_NAME, fileName))
  if (key === '') throw S3Error.of('InvalidArgument', { message: 'The form has no key.' })
  const target = { ...call.target, key }
  const headers = Object.fromEntries(form)
  const encryption = await writeEncryption(services, { target, headers })
  const max = Math.min(policy.size?.max ?? FILE_BYTES_MAX, FILE_BYTES_MAX)
  const { content, facts } = await measureContent(limited(file, max), {
    needsMd5: needsMd5(encryption?.kind),
    algorithm: undefined,
  })
  const written = await writeObject(services, {
    bucket,
    key,
    headers: readObjectHeaders(headers),
    encryption,
    content,
    facts() {
      const measured = facts()
      if (measured.size < (policy.size?.min ?? 0)) throw S3Error.of('EntityTooSmall')
      return measured
    },
  })
  const customerKey = encryption?.kind === 'SSE-C' ? encryption.customerKey : undefined
  const location = `${call.origin}/${bucket}/${encodeUri(key, { keepSlash: true })}`
  const common = {
    etag: quotedEtag(written.etag),
    location,
    ...encryptionHeaders(written.encryption?.stored, customerKey),
  }
  return reply(form, common, { bucket, key, location, etag: written.etag })
}

function authorize(form: Form, bucket: string, secretOf: SecretOf, now: number) {
  const policy = form.get('policy')
  if (policy === undefined) throw S3Error.of('AccessDenied')
  if (form.get('x-amz-algorithm') !== 'AWS4-HMAC-SHA256') {
    throw S3Error.of('InvalidRequest', {
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    })
  }
  verifyPolicySignature(
    {
      credential: form.get('x-amz-credential') ?? '',
      policy,
      signature: form.get('x-amz-signature') ?? '',
    },
    secretOf,
  )
  const document = readPolicy(policy)
  checkPolicy(document, new Map([...form, ['bucket', bucket]]), now)
  return document
}

/** The fields that stand before the file, and the file: what stands behind it is ignored, as the format has it. */
function readForm({ headers, body }: Omit<Call, 'signed'>): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const form = new Map<string, string>()
    const fail = (cause?: unknown) => reject(S3Error.of('MalformedPOSTRequest', { cause }))
    let parser: InstanceType<typeof Busboy>
    try {
      parser = new Busboy({
        headers: { ...headers, 'content-type': headers['content-type'] ?? '' },
        limits: { fieldSize: FIELD_BYTES_MAX, fields: FIELDS_MAX, files: 1 },
      })
    } catch (cause) {
      fail(cause)
      return
    }
    parser.on('field', (name, value, isNameCut, isValueCut) => {
      if (isNameCut || isValueCut) fail()
      else form.set(name.toLowerCase(), value)
    })
    parser.on('file', (name, file, fileName) => {
      if (name.toLowerCase() === 'file') resolve({ form, fileName: fileName ?? '', file })
      else file.resume()
    })
    parser.on('fieldsLimit', fail)
    parser.on('error', fail)
    parser.on('finish', () =>
      reject(
        S3Error.of('InvalidArgument', { message: 'POST requires exactly one file upload per request.' }),
      ),
    )
    const source = Readable.from(body())
    source.on('error', fail)
    source.pipe(parser)
  })
}

async function* limited(file: Readable, max: number): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const slice of file) {
    bytes += slice.length
    if (bytes > max) throw S3Error.of('EntityTooLarge')
    yield slice
  }
}

interface Posted {
  readonly bucket: string
  readonly key: string
  readonly location: string
  readonly etag: string
}

function reply(form: Form, headers: Record<string, string | undefined>, posted: Posted): Reply {
  const redirect = form.get('success_action_redirect') ?? form.get('redirect')
  if (redirect !== undefined && URL.canParse(redirect)) {
    const url = new URL(redirect)
    url.searchParams.set('bucket', posted.bucket)
    url.searchParams.set('key', posted.key)
    url.searchParams.set('etag', quotedEtag(posted.etag))
    return { status: 303, headers: { ...headers, location: url.href } }
  }
  switch (form.get('success_action_status')) {
    case '200':
      return { status: 200, headers }
    case '201': {
      const body = element('PostResponse', [
        element('Location', posted.location),
        element('Bucket', posted.bucket),
        element('Key', posted.key),
        element('ETag', quotedEtag(posted.etag)),
      ])
      return { ...xmlReply(writeXml(body), headers), status: 201 }
    }
    default:
      return { status: 204, headers }
  }
}
