import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AwsChunkedDecoder } from './aws-chunked.ts'
import { S3Error } from './errors.ts'
import { verifySignature } from './signature-v4.ts'
import { Query } from './target.ts'

// The example of AWS's documentation: 66,560 times the letter a, in chunks of 64 KiB.
const SIGNATURES = [
  'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
  '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
  'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
]
const [first = '', second = '', last = ''] = SIGNATURES
const A = (bytes: number) => 'a'.repeat(bytes)
const EXAMPLE = [
  `10000;chunk-signature=${first}\r\n${A(65536)}\r\n`,
  `400;chunk-signature=${second}\r\n${A(1024)}\r\n`,
  `0;chunk-signature=${last}\r\n\r\n`,
].join('')

function exampleSigner() {
  return verifySignature(
    {
      method: 'PUT',
      path: '/examplebucket/chunkObject.txt',
      query: new Query([]),
      rawHeaders: [
        'Host',
        's3.amazonaws.com',
        'x-amz-date',
        '20130524T000000Z',
        'x-amz-storage-class',
        'REDUCED_REDUNDANCY',
        'Authorization',
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
        'x-amz-content-sha256',
        'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
        'Content-Encoding',
        'aws-chunked',
        'x-amz-decoded-content-length',
        '66560',
        'Content-Length',
        '66824',
      ],
    },
    () => 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    Date.parse('2013-05-24T00:00:00Z'),
  ).chunkSigner
}

function decode(decoder: AwsChunkedDecoder, pieces: readonly Buffer[]): Buffer {
  const data = Buffer.concat(
    pieces.flatMap((piece) => [...decoder.push(piece)].map((slice) => Buffer.from(slice))),
  )
  decoder.end()
  return data
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const points = [0, ...[...at].map((each) => each % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return points.slice(1).map((point, index) => bytes.subarray(points[index], point))
}

function refusal(body: () => unknown): string | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof S3Error) return error.code
    throw error
  }
  return undefined
}

const signed = () => new AwsChunkedDecoder({ signer: exampleSigner(), hasTrailer: false })
const unsigned = (hasTrailer = true) => new AwsChunkedDecoder({ signer: undefined, hasTrailer })

describe('signed chunks', () => {
  test("AWS's example is read, wherever the network cuts it", () => {
    const bytes = Buffer.from(EXAMPLE)
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 8 }), (at) => {
        expect(decode(signed(), cut(bytes, at)).equals(Buffer.from(A(66560)))).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  test.each([
    ['a byte of data is changed', EXAMPLE.replace('aaaa', 'aaab'), 'SignatureDoesNotMatch'],
    ['a signature is changed', EXAMPLE.replace(second, first), 'SignatureDoesNotMatch'],
    ['a signature is missing', EXAMPLE.replace(/;chunk-signature=\w+/, ''), 'SignatureDoesNotMatch'],
    [
      'the last chunk is missing',
      EXAMPLE.slice(0, EXAMPLE.indexOf('0;chunk-signature=b6c6')),
      'IncompleteBody',
    ],
    [
      'a chunk is left out',
      EXAMPLE.replace(`400;chunk-signature=${second}\r\n${A(1024)}\r\n`, ''),
      'SignatureDoesNotMatch',
    ],
    ['the body is cut off', EXAMPLE.slice(0, 70), 'IncompleteBody'],
    ['the size is no number', `x${EXAMPLE}`, 'InvalidRequest'],
    ['the size is too small', EXAMPLE.replace('10000;', 'ffff;'), 'InvalidRequest'],
    ['a trailer comes that nobody announced', EXAMPLE.replace(/\r\n$/, 'x-a:b\r\n\r\n'), 'InvalidRequest'],
    ['more comes behind the end', `${EXAMPLE}more\r\n`, 'InvalidRequest'],
    ['a line never ends', `1;${A(5000)}`, 'InvalidRequest'],
  ])('are refused if %s', (_what, body, code) => {
    expect(refusal(() => decode(signed(), [Buffer.from(body)]))).toBe(code)
  })
})

describe('unsigned chunks with a trailer', () => {
  test('any data in any chunks gives the data and the trailer, wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (chunks, at) => {
          const body = Buffer.concat([
            ...chunks.flatMap((chunk) => [
              Buffer.from(`${chunk.length.toString(16)}\r\n`),
              chunk,
              Buffer.from('\r\n'),
            ]),
            Buffer.from('0\r\nX-Amz-Checksum-Crc32: AAAAAA==\r\n\r\n'),
          ])
          const decoder = unsigned()
          expect(decode(decoder, cut(body, at)).equals(Buffer.concat(chunks))).toBe(true)
          expect([...decoder.end()]).toEqual([['x-amz-checksum-crc32', 'AAAAAA==']])
        },
      ),
    )
  })

  test('arbitrary bytes are refused or incomplete, and never hang or crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(refusal(() => decode(unsigned(), [Buffer.from(bytes)]))).toMatch(
          /^(InvalidRequest|IncompleteBody)$/,
        )
      }),
    )
  })
})
