/** The storage node under test as a process of its own, beside a key server that is one, too. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { KesClient } from '@latchkey/kms-client'
import { exitOf, startNode, TemporaryFolder } from '../cleanup.ts'
import { type ProcessUsage, readUsage } from '../server/process-usage.ts'
import { ServerProcess } from '../server/server-process.ts'
import { Workspace } from '../server/workspace.ts'

const PROGRAM = join(import.meta.dirname, '../../packages/storage-node/src/main.ts')
const START_TIMEOUT_MS = 30_000
export const CREDENTIALS = { accessKey: 'bench-user', secretKey: 'bench-password' }
export const DEFAULT_KEY = 'bench-default'

export class NodeUnderLoad implements AsyncDisposable {
  readonly url: string
  readonly keys: KesClient
  readonly #child: ChildProcess
  readonly #resources: AsyncDisposableStack

  private constructor(url: string, keys: KesClient, child: ChildProcess, resources: AsyncDisposableStack) {
    this.url = url
    this.keys = keys
    this.#child = child
    this.#resources = resources
  }

  /** @param parent - of the data; the system's folder for temporary files by default. */
  static async start(parent?: string): Promise<NodeUnderLoad> {
    await using resources = new AsyncDisposableStack()
    const workspace = resources.use(await Workspace.create({ workers: 1, keyNames: [DEFAULT_KEY] }))
    const server = resources.use(await ServerProcess.start(workspace))
    const folder = resources.use(new TemporaryFolder(parent))
    const keys = resources.use(
      new KesClient({
        endpoint: server.url,
        certificate: workspace.admin,
        caPath: workspace.caFile,
      }),
    )
    const child = startNode(
      [PROGRAM, 'server', join(folder.path, 'data'), '--address', '127.0.0.1:0', '--json'],
      ['ignore', 'pipe', 'ignore'],
      {
        MINIO_KMS_KES_ENDPOINT: server.url,
        MINIO_KMS_KES_KEY_NAME: DEFAULT_KEY,
        MINIO_KMS_KES_CERT_FILE: workspace.admin.certFile,
        MINIO_KMS_KES_KEY_FILE: workspace.admin.keyFile,
        MINIO_KMS_KES_CAPATH: workspace.caFile,
        MINIO_ROOT_USER: CREDENTIALS.accessKey,
        MINIO_ROOT_PASSWORD: CREDENTIALS.secretKey,
      },
    )
    resources.defer(async () => {
      child.kill('SIGKILL')
      await exitOf(child)
    })
    const url = await urlOf(child)
    return new NodeUnderLoad(url, keys, child, resources.move())
  }

  /** Of the node alone. @returns undefined where the kernel does not tell. */
  usage(): ProcessUsage | undefined {
    return readUsage(this.#child.pid ?? 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not up after ${START_TIMEOUT_MS} ms`)), START_TIMEOUT_MS)
    let printed = ''
    child.stdout?.on('data', (chunk) => {
      printed += chunk
      const end = printed.indexOf('\n')
      if (end < 0) return
      clearTimeout(timer)
      resolve(JSON.parse(printed.slice(0, end)).url)
    })
    child.once('exit', () => {
      clearTimeout(timer)
      reject(new Error('the node did not start'))
    })
  })
}
