/** `latchkey-node server`: runs a node over a data folder. */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { TlsFiles } from '../s3/listener.ts'
import { parseAddress } from './address.ts'
import { CliError } from './outcome.ts'
import type { Io } from './program.ts'
import { parseSize } from './size.ts'

interface ServerFlags {
  readonly address: string
  readonly consoleAddress?: string
  readonly certsDir?: string
  readonly exitWithoutKms?: boolean
  readonly lockInFlight: 'cut' | 'finish'
  readonly diskReserve?: string
  readonly json?: boolean
  readonly logRequests?: boolean
}

export function addServerCommand(program: Command, io: Io): void {
  program
    .command('server')
    .description('Start a node over a data folder')
    .argument('[dir]', 'The data folder; made if it is missing (default: $MINIO_VOLUMES)')
    .option('--address <ip:port>', 'Listen on this address', ':9000')
    .option('--certs-dir <path>', 'Folder of public.crt, private.key and CAs/ (default: ~/.minio/certs)')
    .option('--exit-without-kms', 'End with an error if the key server can not be reached at start')
    .addOption(
      new Option('--lock-in-flight <how>', 'What becomes of a read whose key is locked meanwhile')
        .choices(['cut', 'finish'])
        .default('cut'),
    )
    .option(
      '--disk-reserve <size>',
      'Refuse new data that would leave less of the disk free, such as 512MiB (default: 1 % of it, 64MiB to 1GiB)',
    )
    .option('--log-requests', 'Log every request, not only failures of the node')
    .option('--json', 'Print JSON: one line once the node serves, and the log')
    .addOption(new Option('--console-address <ip:port>').hideHelp())
    .addHelpText(
      'after',
      `
Environment, with MinIO's names:
  MINIO_ROOT_USER, MINIO_ROOT_PASSWORD     The one user there is (default: minioadmin, minioadmin)
  MINIO_KMS_KES_ENDPOINT, _KEY_NAME, _API_KEY or _CERT_FILE with _KEY_FILE, _CAPATH
                                           The key server, the default key, and who the node is
  MINIO_KMS_SECRET_KEY                     Or a key without a server: NAME:BASE64
  MINIO_KMS_AUTO_ENCRYPTION                on: encrypt every object
  MINIO_DOMAIN                             Domains under which buckets are host names
  LATCHKEY_NODE_DISK_RESERVE               As --disk-reserve

Stops on Ctrl-C or SIGTERM. A second signal ends it at once.`,
    )
    .action(async (dir: string | undefined, flags: ServerFlags) => {
      const folder = dir ?? io.env.MINIO_VOLUMES
      if (!folder) throw new CliError("no data folder is given. See 'latchkey-node server --help'")
      const reserve = flags.diskReserve ?? io.env.LATCHKEY_NODE_DISK_RESERVE
      const certsDir = flags.certsDir ?? join(homedir(), '.minio', 'certs')
      // Loaded here: the other commands need neither the store nor the server.
      const { runServer } = await import('./run-server.ts')
      await runServer(
        {
          folder,
          address: parseAddress(flags.address),
          tls: readTls(certsDir, flags.certsDir !== undefined),
          caFolder: join(certsDir, 'CAs'),
          exitsWithoutKms: flags.exitWithoutKms ?? false,
          lockInFlight: flags.lockInFlight,
          reserveBytes: reserve === undefined ? undefined : parseSize(reserve),
          isJson: flags.json ?? io.stderr.isTTY !== true,
          announcesJson: flags.json ?? false,
          logsRequests: flags.logRequests ?? false,
          ignoresConsole: flags.consoleAddress !== undefined,
        },
        io,
      )
    })
}

/** @param isNamed - whether the operator named the folder: it must exist then. */
function readTls(folder: string, isNamed: boolean): TlsFiles | undefined {
  const [cert, key] = [join(folder, 'public.crt'), join(folder, 'private.key')]
  if (existsSync(cert) !== existsSync(key)) {
    const [there, missing] = existsSync(cert) ? [cert, key] : [key, cert]
    throw new CliError(`there is '${there}', but no '${missing}'`)
  }
  if (existsSync(cert)) return { cert: readFileSync(cert), key: readFileSync(key) }
  if (isNamed && !existsSync(folder)) throw new CliError(`the folder '${folder}' does not exist`)
  return undefined
}
