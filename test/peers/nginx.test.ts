/** nginx as a TLS proxy in front of the server, set up as docs/config.md has it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { type Credentials, clientOf, serverOf } from '../sandbox/certificates.ts'
import { startTestServer } from '../sandbox/server.ts'
import { peerTest } from './peer.ts'

const DOCUMENT = readFileSync(join(import.meta.dirname, '../../docs/config.md'), 'utf8')
const [, EXAMPLE = ''] = /^```nginx\n([\s\S]*?)^```$/m.exec(DOCUMENT) ?? []
const HEADER = 'X-Client-Cert'

/** nginx in this folder alone, reached by a socket there. */
async function startNginx(folder: string, port: number, files: Readonly<Record<string, string>>) {
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), content, { mode: 0o600 })
  const socketPath = join(folder, 'socket')
  const server = EXAMPLE.replaceAll(/\/etc\/nginx\/\S+(?=;)/g, (path) => join(folder, basename(path)))
    .replace('listen 7373 ssl', `listen unix:${socketPath} ssl`)
    .replace('127.0.0.1:7374', `127.0.0.1:${port}`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  )
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr;
events {}
http { access_log off; ${temporary.join(' ')}
${server}}`,
  )
  const nginx = spawn('nginx', ['-c', config, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const said = text(nginx.stderr)
  nginx.on('exit', (code) => code === 0 || said.then((lines) => console.error(lines)))
  await expect.poll(() => existsSync(socketPath) || nginx.exitCode !== null, { timeout: 10_000 }).toBe(true)
  return {
    socketPath,
    async [Symbol.asyncDispose]() {
      if (nginx.exitCode !== null) return
      nginx.kill()
      await once(nginx, 'exit')
    },
  }
}

peerTest('nginx', 'the caller is the client of nginx, and nobody without a certificate', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-nginx-'))
  try {
    const [proxy, app, stranger, own] = await Promise.all([
      clientOf('proxy'),
      clientOf('app'),
      clientOf('stranger'),
      serverOf(),
    ])
    await using server = await startTestServer({
      keys: ['my-key'],
      policies: { app: { allow: ['/v1/key/generate/*'], identities: [app.identity] } },
      proxies: { identities: [proxy.identity], header: HEADER },
    })
    await using nginx = await startNginx(folder, server.port, {
      'kes.example.crt': own.cert,
      'kes.example.key': own.key,
      'proxy.crt': proxy.cert,
      'proxy.key': proxy.key,
      'kes-ca.crt': server.ca,
    })
    const statusFor = (as: Credentials | null, headers: Readonly<Record<string, string>> = {}) =>
      new Promise<number | undefined>((resolve, reject) => {
        const { socketPath } = nginx
        const tls = { ca: server.ca, servername: 'localhost', ...(as && { key: as.key, cert: as.cert }) }
        const sent = request({ ...tls, socketPath, method: 'PUT', path: '/v1/key/generate/my-key', headers })
        sent.on('response', (response) => resolve(response.resume().statusCode))
        sent.on('error', reject).end('{}')
      })
    const forged = { [HEADER]: encodeURIComponent(app.cert) }

    expect(await statusFor(app)).toBe(200)
    expect(server.auditLog().at(-1)?.req).toMatchObject({ identity: app.identity, proxy: proxy.identity })
    expect(await statusFor(stranger)).toBe(403)
    expect(await statusFor(stranger, forged)).toBe(403)
    expect(server.auditLog().at(-1)?.req?.identity).toBe(stranger.identity)
    expect(await statusFor(null)).toBe(400)
    expect(await statusFor(null, forged)).toBe(400)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
