/** ListObjects in its three forms. */
import { type Call, type Reply, xmlReply } from './call.ts'
import { listedEtags } from './listed-etags.ts'
import { readListRequest, writeListing } from './listing.ts'
import type { NodeServices } from './node-services.ts'

const EMPTY = { items: [], commonPrefixes: [] }

export async function listObjects(services: NodeServices, { target }: Call): Promise<Reply> {
  const { bucket, query } = target
  services.store.bucket(bucket)
  const request = readListRequest(query)
  const { prefix, delimiter, after, max } = request
  const page =
    max === 0
      ? EMPTY
      : services.store.list(bucket, {
          prefix,
          max,
          ...(delimiter === '' ? {} : { delimiter }),
          ...(after === '' ? {} : { after }),
        })
  const etagOf = await listedEtags(services, bucket, page.items)
  return xmlReply(writeListing(bucket, request, page, etagOf))
}
