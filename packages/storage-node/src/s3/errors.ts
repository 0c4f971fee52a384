/** Every error that an S3 client can be answered, with its status; `error-reply.ts` turns it into XML. */

/**
 * Code → status and message, AWS's words where MinIO has no others.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
const TABLE = {
  AccessDenied: [403, 'Access Denied.'],
  AuthorizationHeaderMalformed: [400, 'The authorization header is malformed.'],
  AuthorizationQueryParametersError: [400, 'The authorization query parameters are not valid.'],
  BadDigest: [400, 'The Content-Md5 you specified did not match what we received.'],
  BadRequest: [400, '400 BadRequest'],
  BucketAlreadyOwnedByYou: [
    409,
    'Your previous request to create the named bucket succeeded and you already own it.',
  ],
  BucketNotEmpty: [409, 'The bucket you tried to delete is not empty'],
  ConditionalRequestConflict: [
    409,
    'The conditional request cannot succeed due to a conflicting operation against this resource.',
  ],
  EntityTooLarge: [400, 'Your proposed upload exceeds the maximum allowed object size.'],
  EntityTooSmall: [400, 'Your proposed upload is smaller than the minimum allowed object size.'],
  ExpiredPresignRequest: [403, 'Request has expired'],
  IncompleteBody: [
    400,
    'You did not provide the number of bytes specified by the Content-Length HTTP header.',
  ],
  InternalError: [500, 'We encountered an internal error, please try again.'],
  InvalidAccessKeyId: [403, 'The Access Key Id you provided does not exist in our records.'],
  InvalidArgument: [400, 'Invalid Argument'],
  InvalidBucketName: [400, 'The specified bucket is not valid.'],
  InvalidDigest: [400, 'The Content-Md5 you specified is not valid.'],
  InvalidPart: [
    400,
    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
  ],
  InvalidPartNumber: [416, 'The requested partnumber is not satisfiable'],
  InvalidPartOrder: [
    400,
    'The list of parts was not in ascending order. The parts list must be specified in order by part number.',
  ],
  InvalidPolicyDocument: [
    400,
    'The content of the form does not meet the conditions specified in the policy document.',
  ],
  InvalidRange: [416, 'The requested range is not satisfiable'],
  InvalidRequest: [400, 'Invalid Request'],
  InvalidTag: [400, 'The tag provided was not a valid tag.'],
  InvalidStorageClass: [400, 'Invalid storage class.'],
  KeyTooLongError: [400, 'Your key is too long'],
  MalformedPOSTRequest: [400, 'The body of your POST request is not well-formed multipart/form-data.'],
  MalformedPolicy: [400, 'Policy has invalid resource.'],
  MalformedXML: [
    400,
    'The XML you provided was not well-formed or did not validate against our published schema.',
  ],
  MetadataTooLarge: [400, 'Your metadata headers exceed the maximum allowed metadata size.'],
  MethodNotAllowed: [405, 'The specified method is not allowed against this resource.'],
  MissingContentLength: [411, 'You must provide the Content-Length HTTP header.'],
  NoSuchBucket: [404, 'The specified bucket does not exist'],
  NoSuchBucketPolicy: [404, 'The bucket policy does not exist'],
  NoSuchCORSConfiguration: [404, 'The CORS configuration does not exist'],
  NoSuchKey: [404, 'The specified key does not exist.'],
  NoSuchLifecycleConfiguration: [404, 'The lifecycle configuration does not exist'],
  NoSuchObjectLockConfiguration: [404, 'The specified object does not have a ObjectLock configuration'],
  NoSuchTagSet: [404, 'The TagSet does not exist'],
  NoSuchUpload: [
    404,
    'The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
  ],
  NoSuchVersion: [404, 'The specified version does not exist.'],
  NoSuchWebsiteConfiguration: [404, 'The specified bucket does not have a website configuration'],
  NotImplemented: [501, 'A header you provided implies functionality that is not implemented'],
  ObjectLockConfigurationNotFoundError: [404, 'Object Lock configuration does not exist for this bucket'],
  OperationAborted: [
    409,
    'A conflicting conditional operation is currently in progress against this resource. Try again.',
  ],
  PreconditionFailed: [412, 'At least one of the pre-conditions you specified did not hold'],
  ReplicationConfigurationNotFoundError: [404, 'The replication configuration was not found'],
  RequestNotReadyYet: [403, 'Request is not valid yet'],
  RequestTimeTooSkewed: [403, "The difference between the request time and the server's time is too large."],
  ServerSideEncryptionConfigurationNotFoundError: [
    404,
    'The server side encryption configuration was not found',
  ],
  SignatureDoesNotMatch: [
    403,
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
  ],
  SlowDown: [503, 'Resource requested is unreadable, please reduce your request rate'],
  UnsupportedMediaType: [415, 'The content type is not supported.'],
  XAmzContentSHA256Mismatch: [
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  ],
  XMinioAdminVersionMismatch: [426, "This 'admin' API is not supported by server in 'mode-server-xl-single'"],
  XMinioEncryptionError: [400, 'The object metadata about its encryption is not valid.'],
  XMinioInvalidObjectName: [400, 'Object name contains unsupported characters.'],
  XMinioObjectTampered: [206, 'The requested object was modified and may be compromised'],
  XMinioStorageFull: [
    507,
    'Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed.',
  ],
} as const satisfies Record<string, readonly [number, string]>

export type S3Code = keyof typeof TABLE

/** Codes under which clients know one reason of several that have one name on the wire. */
const WIRE_CODES: Partial<Record<S3Code, string>> = {
  ExpiredPresignRequest: 'AccessDenied',
  RequestNotReadyYet: 'AccessDenied',
}

export interface S3ErrorOptions extends ErrorOptions {
  /** Instead of the code's own message. */
  readonly message?: string
  /** Appended to the code's own message in parentheses, as MinIO does. */
  readonly detail?: string
  /** Headers of the reply beside the usual ones. */
  readonly headers?: Readonly<Record<string, string>>
  /** Elements of the reply behind the usual ones. */
  readonly elements?: Readonly<Record<string, string>>
}

/** An answer that is no success: a status, a code from a fixed list, and a sentence. */
export class S3Error extends Error {
  override readonly name = 'S3Error'
  readonly status: number
  /** As on the wire. */
  readonly code: string
  readonly headers: Readonly<Record<string, string>>
  readonly elements: Readonly<Record<string, string>>

  private constructor(status: number, code: string, message: string, options: S3ErrorOptions) {
    super(message, options)
    this.status = status
    this.code = code
    this.headers = options.headers ?? {}
    this.elements = options.elements ?? {}
  }

  static of(code: S3Code, options: S3ErrorOptions = {}): S3Error {
    const [status, text] = TABLE[code]
    return new S3Error(
      status,
      WIRE_CODES[code] ?? code,
      withDetail(options.message ?? text, options),
      options,
    )
  }

  /** One of the codes `kms:…`, which no table of AWS has. */
  static kms(status: number, code: `kms:${string}`, message: string, options: S3ErrorOptions = {}): S3Error {
    return new S3Error(status, code, withDetail(message, options), options)
  }
}

function withDetail(message: string, { detail }: S3ErrorOptions): string {
  return detail === undefined ? message : `${message} (${detail})`
}
