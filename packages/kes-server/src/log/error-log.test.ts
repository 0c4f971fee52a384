import { describe, expect, test } from 'vitest'
import { Broadcast } from './broadcast.ts'
import { createLogger, ErrorLog, LogLevel } from './error-log.ts'

const request = { method: 'POST', path: '/v1/key/encrypt/my-key', ip: '127.0.0.1', identity: 'ab12' }

function newLog(level: number) {
  const lines: string[] = []
  const streamed: string[] = []
  const log = new ErrorLog(
    createLogger({ write: (line) => lines.push(line) }),
    level,
    new Broadcast(() => undefined),
  )
  const reader = { write: (line: string) => streamed.push(line), writableLength: 0, destroy() {}, on() {} }
  log.stream.add(reader as never)
  return { log, lines, streamed }
}

describe('the error log', () => {
  test('drops what is below its level, in the stream too', () => {
    const { log, lines, streamed } = newLog(LogLevel.warn)
    log.debug('one')
    log.info('two')
    log.warn('three')
    log.error('four')
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['three', 'four'])
    expect(streamed).toHaveLength(2)
  })

  test('streams the lines that KES prints', () => {
    const { log, streamed } = newLog(LogLevel.info)
    log.error('invalid character "x"', request)
    expect(JSON.parse(streamed[0] ?? '').message).toMatch(
      /^time=\S+Z level=ERROR msg="invalid character \\"x\\"" req\.method=POST req\.path=\/v1\/key\/encrypt\/my-key req\.ip=127\.0\.0\.1 req\.identity=ab12$/,
    )
  })

  test('keeps one event on one line, whatever a client sent', () => {
    const { log, lines, streamed } = newLog(LogLevel.info)
    log.error('x\ny', { ...request, path: '/a\nlevel=INFO', identity: undefined })
    expect(lines[0]?.trimEnd().split('\n')).toHaveLength(1)
    expect(JSON.parse(streamed[0] ?? '').message).toContain(String.raw`req.path="/a\nlevel=INFO"`)
    expect(JSON.parse(streamed[0] ?? '').message).toContain('req.identity=<unknown>')
  })
})
