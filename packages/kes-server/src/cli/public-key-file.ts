/** Reads the public key that a journal or a receipt is verified with. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { readTextFile } from './file.ts'
import { CliError } from './outcome.ts'

/** @throws {@link CliError} if the file holds no Ed25519 public key in PEM. */
export function readPublicKey(path: string): KeyObject {
  const text = readTextFile(path)
  // A private key would be taken for its public half.
  if (!text.includes('-----BEGIN PUBLIC KEY-----')) throw noPublicKey(path)
  let key: KeyObject
  try {
    key = createPublicKey(text)
  } catch {
    throw noPublicKey(path)
  }
  if (key.asymmetricKeyType !== 'ed25519') throw noPublicKey(path)
  return key
}

function noPublicKey(path: string): CliError {
  return new CliError(`'${path}' is no public key of a journal`, [
    "The server writes it beside its store when it is set up, as '<store>.journal.pub'.",
  ])
}
