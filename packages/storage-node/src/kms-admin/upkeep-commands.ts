/** What `latchkey-node rotate` and `object explain` ask of a node that serves. */
import type { Call, Reply } from '../s3/call.ts'
import { S3Error } from '../s3/errors.ts'
import { explainObject } from '../upkeep/explain-object.ts'
import { rotatePage, rotateUploadsPage } from '../upkeep/rotate-keys.ts'
import type { AdminServices } from './commands.ts'
import { json, required } from './replies.ts'

export const UPKEEP = '/minio/latchkey/v1'

/** Few enough that a page is answered within a second or two. */
const OBJECTS_A_PAGE = 200

/** `GET …/explain?bucket=…&key=…` */
export async function explain({ store, kms }: AdminServices, { target }: Call): Promise<Reply> {
  const { query } = target
  return json(await explainObject({ store, kms }, query.get('bucket') ?? '', query.get('key') ?? ''))
}

/**
 * `POST …/rotate?bucket=…&prefix=…&to=…&from=…&after=…`: one page; the first also says how many objects there are. With
 * `&uploads`, a page of uploads in progress.
 */
export async function rotate({ store, kms: some }: AdminServices, { target }: Call): Promise<Reply> {
  const kms = required(some)
  const { query } = target
  const bucket = query.get('bucket') ?? ''
  const prefix = query.get('prefix') ?? ''
  const to = query.get('to') ?? ''
  if (to === '') throw S3Error.of('InvalidArgument', { message: 'The key to rotate to is missing.' })
  const after = query.get('after')
  const isOfUploads = query.has('uploads')
  const total = after === undefined && !isOfUploads ? { total: store.count(bucket, prefix) } : {}
  const from = query.get('from')
  const rotateSome = isOfUploads ? rotateUploadsPage : rotatePage
  const page = await rotateSome({ store, kms }, { bucket, prefix, to, from, after, max: OBJECTS_A_PAGE })
  return json({ ...total, ...page })
}
