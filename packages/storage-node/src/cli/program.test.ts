import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { runCli } from './program.ts'

async function run(...args: string[]): Promise<{ exitCode: number; stderr: string }> {
  const stderr = new PassThrough()
  const exitCode = await runCli(args, { env: {}, stdout: new PassThrough(), stderr })
  stderr.end()
  return { exitCode, stderr: await text(stderr) }
}

test.each([
  [['nonsense'], "Error: unknown command 'nonsense'\n"],
  [['rotate', 'bucket'], "Error: required option '--to <key>' not specified\n"],
  [['object', 'explain'], "Error: missing required argument 'place'\n"],
])(
  'a command line that can not be read, %j, is an error like all others, exit code 2',
  async (args, stderr) => {
    expect(await run(...args)).toEqual({ exitCode: 2, stderr })
  },
)

test.each(['object', 'encrypt'])("'%s' alone lists its commands, and no 'help' among them", async (group) => {
  const { exitCode, stderr } = await run(group)
  expect(exitCode).toBe(2)
  expect(stderr).toContain('Commands:')
  expect(stderr).not.toContain('help [command]')
})
