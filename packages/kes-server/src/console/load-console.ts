/** The package of the console is loaded by its name, where the config asks for it: a server without is complete. */
import type { startConsole } from '@latchkey/console'

const PACKAGE = '@latchkey/console'

/** `@latchkey/console` is not installed. */
export class ConsoleMissingError extends Error {
  override readonly name = 'ConsoleMissingError'
}

/** @throws {@link ConsoleMissingError} */
export async function loadConsole(name: string = PACKAGE): Promise<{ startConsole: typeof startConsole }> {
  try {
    return await import(name)
  } catch (cause) {
    const isAbsent =
      cause instanceof Error &&
      'code' in cause &&
      cause.code === 'ERR_MODULE_NOT_FOUND' &&
      cause.message.includes(`'${name}'`)
    if (!isAbsent) throw cause
    const hint = `npm install ${name}, or take 'console' out of the config`
    throw new ConsoleMissingError(`the console is the package '${name}', which is not installed: ${hint}`, {
      cause,
    })
  }
}
