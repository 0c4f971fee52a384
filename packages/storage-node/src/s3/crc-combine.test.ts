import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createChecksum } from './checksums.ts'
import { type CrcAlgorithm, combineCrcs } from './crc-combine.ts'

async function crcOf(algorithm: CrcAlgorithm, data: Uint8Array): Promise<Buffer> {
  const checksum = await createChecksum(algorithm)
  checksum.update(data)
  return checksum.digest()
}

test.each<[CrcAlgorithm, string]>([
  ['CRC32', 'cbf43926'],
  ['CRC32C', 'e3069283'],
  ['CRC64NVME', 'ae8b14860a799888'],
])('%s of the digits 1 to 9 is its check value', async (algorithm, expected) => {
  expect((await crcOf(algorithm, Buffer.from('123456789'))).toString('hex')).toBe(expected)
})

test.each<[CrcAlgorithm]>([['CRC32'], ['CRC32C'], ['CRC64NVME']])(
  '%s of parts is that of the whole, whatever the parts',
  async (algorithm) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), async (parts) => {
        const crcs = await Promise.all(
          parts.map(async (part) => ({ digest: await crcOf(algorithm, part), size: part.length })),
        )
        const whole = await crcOf(algorithm, Buffer.concat(parts))
        expect(combineCrcs(algorithm, crcs).equals(whole)).toBe(true)
      }),
      { numRuns: 50 },
    )
  },
)
