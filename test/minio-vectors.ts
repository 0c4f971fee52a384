/** Recorded data of MinIO and its libraries, as `vectors/minio/README.md` describes it. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** The cases of `test/vectors/minio/<file>`; their shape is the caller's word for what the README says. */
export function readMinioVectors<Case>(file: string): Case[] {
  return JSON.parse(readFileSync(new URL(`vectors/minio/${file}`, import.meta.url), 'utf8'))
}

/** The README's deterministic plaintext: SHA-256 over a label and a counter, cut to `bytes`. */
export function generatedPlaintext(label: string, bytes: number): Buffer {
  const input = Buffer.concat([Buffer.from(`sse-vector\0${label}`), Buffer.alloc(4)])
  const content = Buffer.alloc(Math.ceil(bytes / 32) * 32)
  for (let at = 0; at < bytes; at += 32) {
    input.writeUInt32BE(at / 32, input.length - 4)
    hash('sha256', input, 'buffer').copy(content, at)
  }
  return content.subarray(0, bytes)
}

export function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex')
}
