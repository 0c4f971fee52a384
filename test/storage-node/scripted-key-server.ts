/** A key server that works until it is told what to answer instead: any status with any body, as a Go KES might. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiKey } from '@latchkey/kms-client'
import { BuiltinKms, type Environment } from '@latchkey/kms-client/kms'
import { authorityOf } from '../sandbox/certificates.ts'
import { DEFAULT_KEY, nodeTls, RECORDED_KEYS } from './node-under-test.ts'

export interface Script {
  readonly status: number
  readonly body: string
  readonly contentType: string
}

export interface ScriptedKeyServer extends AsyncDisposable {
  readonly env: Environment
  /** What every request is answered from now on; `reset` breaks the connection. Undefined: the truth. */
  answer: Script | 'reset' | undefined
}

export async function startScriptedKeyServer(): Promise<ScriptedKeyServer> {
  const state: { answer: ScriptedKeyServer['answer'] } = { answer: undefined }
  const server = createServer(
    { ...(await nodeTls()), requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', async () => {
        const { answer } = state
        if (answer === 'reset') {
          request.socket.destroy()
          return
        }
        const { status, body, contentType } =
          answer ?? (await truth(request.url ?? '', Buffer.concat(chunks)))
        response.writeHead(status, { 'content-type': contentType }).end(body)
      })
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-scripted-'))
  const caPath = join(folder, 'ca.crt')
  writeFileSync(caPath, (await authorityOf('servers')).certificate.toString())
  return {
    env: {
      MINIO_KMS_KES_ENDPOINT: `https://127.0.0.1:${port}`,
      MINIO_KMS_KES_API_KEY: ApiKey.generate().toString(),
      MINIO_KMS_KES_KEY_NAME: DEFAULT_KEY,
      MINIO_KMS_KES_CAPATH: caPath,
    },
    get answer() {
      return state.answer
    },
    set answer(answer) {
      state.answer = answer
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Generates and decrypts under the recorded keys. */
async function truth(url: string, body: Buffer): Promise<Script> {
  const [, , , call = '', name = ''] = url.split('/')
  const key = RECORDED_KEYS[name]
  if (key === undefined || (call !== 'generate' && call !== 'decrypt')) {
    return json(404, { message: 'key does not exist' })
  }
  const kms = new BuiltinKms(name, key)
  const asked: { context?: string; ciphertext?: string } = JSON.parse(body.toString())
  const context = JSON.parse(Buffer.from(asked.context ?? 'e30=', 'base64').toString())
  if (call === 'decrypt') {
    const plaintext = await kms.decrypt({
      key: name,
      ciphertext: Buffer.from(asked.ciphertext ?? '', 'base64'),
      context,
    })
    return json(200, { plaintext: Buffer.from(plaintext.bytes).toString('base64') })
  }
  const made = await kms.generateKey({ context })
  return json(200, {
    plaintext: Buffer.from(made.plaintext.bytes).toString('base64'),
    ciphertext: Buffer.from(made.ciphertext).toString('base64'),
  })
}

function json(status: number, value: unknown): Script {
  return { status, body: JSON.stringify(value), contentType: 'application/json' }
}
