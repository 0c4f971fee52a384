import { describe, expect, test, vi } from 'vitest'
import { API_KEY, CREATED_AT, FakeKes, IDENTITY, runKes, STATUS } from '../../../../test/kes-cli/harness.ts'
import { formatClock } from './format.ts'

const env = { KES_API_KEY: API_KEY, KES_SERVER: '127.0.0.1:27373', NO_COLOR: '1' }

/** A clock that moves by 3 ms each time it is read. */
function clock(): () => Date {
  let ms = 0
  return () => {
    ms += 3
    return new Date(ms)
  }
}

const PLAIN = `● 127.0.0.1:27373
  Version  1.0.0
  Uptime   9 minutes
  Latency  3ms
  OS       linux
  CPUs     2 amd64
  Memory${'  '}
  · Heap   5.1MB
  · Stack  524.3KB
`
const APIS = `
  Method  API                          Timeout
  PUT     /v1/key/create/              15s
  PUT     /v1/key/import/              15s
  GET     /v1/log/audit                Inf
`
const JSON_TEXT =
  '{"version":"1.0.0","os":"linux","arch":"amd64","uptime":543,"num_cpu":2,"num_cpu_used":2,' +
  '"mem_heap_used":5060000,"mem_stack_used":524288,"keystore_latency":1}'

describe('status', () => {
  test.each([
    ['status -k', PLAIN],
    ['status --short', '● 127.0.0.1:27373\n'],
    ['status -s', '● 127.0.0.1:27373\n'],
    ['status --api', PLAIN + APIS],
    ['status --short --api', `● 127.0.0.1:27373\n${APIS}`],
    ['status --json', `${JSON_TEXT}\n`],
  ])('kes %s', async (args, stdout) => {
    expect(await runKes(args, { env, now: clock() })).toMatchObject({ code: 0, stdout, stderr: '' })
  })

  test('--json is indented on a terminal', async () => {
    const { stdout } = await runKes('status --json', { env, isTerminal: true })
    expect(stdout).toBe(`${JSON.stringify(JSON.parse(JSON_TEXT), undefined, 2)}\n`)
  })

  test('--api --json is the list alone, without fields that are zero', async () => {
    const { stdout } = await runKes('status --api --json', { env })
    expect(JSON.parse(stdout)).toEqual([
      { method: 'GET', path: '/v1/log/audit' },
      { method: 'PUT', path: '/v1/key/create/', timeout: 15 },
      { method: 'PUT', path: '/v1/key/import/', max_body: 1_000_000, timeout: 15 },
    ])
  })

  test('a server whose store is down still has a status, which says so', async () => {
    const { keyStoreLatencyMs, ...rest } = STATUS
    expect(keyStoreLatencyMs).toBe(1)
    const kes = Object.assign(new FakeKes(), {
      status: async () => ({ ...rest, isKeyStoreAvailable: false, isKeyStoreReachable: false }),
    })
    const { code, stdout } = await runKes('status', { env, kes })
    expect(code).toBe(0)
    expect(stdout).toContain('\n  Store    unreachable\n')
    expect((await runKes('status --json', { env, kes })).stdout).toMatch(
      /"keystore_unavailable":true,"keystore_unreachable":true\}\n$/,
    )
  })
})

describe('metric', () => {
  const LINE =
    '{"kes_http_request_success":597,"kes_http_request_error":184,"kes_http_request_failure":4,' +
    '"kes_http_request_active":0,"kes_log_audit_events":1,"kes_log_error_events":1,' +
    '"kes_http_response_time":{"10000000":786,"10000000000":789},"kes_system_up_time":558000000000,' +
    '"kes_system_num_cpu":2,"kes_system_num_cpu_used":2,"kes_system_num_threads":12,' +
    '"kes_system_mem_heap_used":5760568,"kes_system_mem_heap_objects":36192,"kes_system_mem_stack_used":491520}\n'

  /** A server that interrupts the user's command when it is asked for the n-th time. */
  function interruptedAt(count: number) {
    const controller = new AbortController()
    let asked = 0
    const kes = new FakeKes()
    const metrics = kes.metrics.bind(kes)
    kes.metrics = async () => {
      if (++asked === count) controller.abort()
      return metrics()
    }
    return { kes, interruption: controller.signal, env }
  }

  test('it prints a line of JSON at once and at every interval, until it is interrupted', async () => {
    const { code, stdout } = await runKes('metric --rate 1ms', interruptedAt(3))
    expect({ code, stdout }).toEqual({ code: 0, stdout: LINE.repeat(3) })
  })

  test('a terminal gets a table', async () => {
    const { stdout } = await runKes('metric', { ...interruptedAt(1), isTerminal: true })
    expect(stdout).toMatch(/^Request +OK \[2xx\] +Err \[4xx\] +Err \[5xx\] +Req\/s +Latency\n/)
    expect(stdout).toMatch(/^ +597 \(76\.1%\) +184 \(23\.4%\) +4 \(0\.5%\) +1\.4 +1ms$/m)
    expect(stdout).toMatch(/^System +UpTime +Heap +Stack +CPUs +Threads$/m)
    expect(stdout).toMatch(/^ +9 minutes +5\.8MB +491\.5KB +2 +12$/m)
  })

  test('a rate that no timer of Node lasts for is waited for all the same', async () => {
    const controller = new AbortController()
    const kes = new FakeKes()
    const metrics = vi.spyOn(kes, 'metrics')
    setTimeout(() => controller.abort(), 50)
    const ran = await runKes('metric --rate 600h', { kes, interruption: controller.signal })
    expect({ code: ran.code, times: metrics.mock.calls.length }).toEqual({ code: 0, times: 1 })
  })

  test('a failure says what failed, and a rate must be a duration', async () => {
    const kes = Object.assign(new FakeKes(), { metrics: () => Promise.reject(new Error('no')) })
    expect((await runKes('metric', { kes })).stderr).toBe('Error: failed to fetch metrics: no\n')
    for (const rate of ['x', '0s', '-1s', '5']) {
      expect((await runKes(`metric --rate=${rate}`)).stderr).toContain(`invalid duration "${rate}"`)
    }
  })
})

describe('log', () => {
  const time = formatClock(new Date(CREATED_AT))
  const ROWS = [
    'Time        Status    Identity                IP                 API                               Latency',
    `${time}    200       ${IDENTITY.slice(0, 20)}    127.0.0.1          /v1/key/create/my-key             1.04ms`,
    `${time}    400                                                  /v1/status                        900ns`,
    '',
  ].join('\n')
  const EVENTS =
    `{"time":"${CREATED_AT}","request":{"ip":"127.0.0.1","path":"/v1/key/create/my-key",` +
    `"identity":"${IDENTITY}"},"response":{"code":200,"time":1035537}}\n` +
    `{"time":"${CREATED_AT}","request":{"path":"/v1/status"},"response":{"code":400,"time":900}}\n`

  test.each([
    ['log', ROWS],
    ['log --audit', ROWS],
    ['log --json', EVENTS],
    ['log --error', 'time=… level=ERROR msg="it broke"\n'],
    ['log --error --json', '{"message":"time=… level=ERROR msg=\\"it broke\\""}\n'],
  ])('kes %s', async (args, stdout) => {
    const interruption = AbortSignal.abort()
    expect(await runKes(args, { env, interruption })).toMatchObject({ code: 0, stdout, stderr: '' })
  })

  test.each(['log', 'log --error --json'])('kes %s says that the server has ended it', async (args) => {
    const { code, stderr } = await runKes(args, { env })
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^Error: .*\/v1\/log\/(?:audit|error)": the server ended the stream\n/),
    })
  })

  test('what a client has chosen moves no cursor and makes no row', async () => {
    const kes = new FakeKes()
    kes.auditLog = async function* ({ onOpen } = {}) {
      onOpen?.()
      yield { time: CREATED_AT, path: '/v1/\u001b[2J\n12:00:00    200', status: 403, responseTime: 900 }
    }
    kes.errorLog = async function* () {
      yield { message: 'refused \u001b[31m\u202e' }
    }
    const { stdout } = await runKes('log', { kes })
    expect(stdout.split('\n')).toHaveLength(3)
    expect(stdout).toContain('/v1/\\u{1b}[2J\\u{a}12:00:00    200')
    expect((await runKes('log --error', { kes })).stdout).toBe('refused \\u{1b}[31m\\u{202e}\n')
  })

  test('both logs at once are refused', async () => {
    expect((await runKes('log --audit --error')).stderr).toBe(
      'Error: cannot display audit and error logs at the same time\n',
    )
  })

  test('an interrupted log has ended well, a broken one has not', async () => {
    const controller = new AbortController()
    const kes = new FakeKes()
    const events = kes.auditLog.bind(kes)
    kes.auditLog = async function* () {
      yield* events()
      throw new Error('broken')
    }
    expect((await runKes('log', { kes })).code).toBe(1)
    controller.abort()
    expect((await runKes('log', { kes, interruption: controller.signal })).code).toBe(0)
  })
})
