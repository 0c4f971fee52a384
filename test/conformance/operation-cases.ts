/** What operators and their dashboards ask: section 12 of KES's protocol, and the log streams of section 13. */
import { type Case, EMPTY, json } from './case.ts'
import { SPEC_APIS } from './spec-apis.ts'

const STATUS =
  '{"version":"<text>","os":"<word>","arch":"<word>","uptime":<count>,"num_cpu":<count>,"num_cpu_used":<count>,' +
  '"mem_heap_used":<count>,"mem_stack_used":<count>,"keystore_latency":<count>}'

const PROTOBUF = 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited'
const TEXT = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores' }

const get = (path: string, headers: Record<string, string> = {}) => ({ method: 'GET', path, headers })

function one(
  title: string,
  request: Case['requests'][number],
  expected: Case['expected'],
  differs?: string,
): Case {
  return {
    section: 'Operation',
    title,
    requests: [request],
    expected,
    ...(differs === undefined ? {} : { differs }),
  }
}

/** Families of metrics that KES has and this server has as well, with their types. */
const FAMILIES = [
  ['kes_http_request_success', 'counter', '{code="'],
  ['kes_http_request_error', 'counter', '{code="'],
  ['kes_http_request_active', 'gauge', ' '],
  ['kes_http_response_time', 'histogram', '_bucket{le="0.01"} '],
  ['kes_log_audit_events', 'counter', ' '],
  ['kes_log_error_events', 'counter', ' '],
  ['kes_system_up_time', 'gauge', ' '],
  ['kes_system_num_cpu', 'gauge', ' '],
  ['kes_system_num_cpu_used', 'gauge', ' '],
  ['kes_system_num_threads', 'gauge', ' '],
  ['kes_system_mem_heap_used', 'gauge', ' '],
  ['kes_system_mem_stack_used', 'gauge', ' '],
] as const

export const OPERATION_CASES: readonly Case[] = [
  one('the version', get('/version'), json('{"version":"<text>","commit":"<text>"}')),
  { ...one('readiness', get('/v1/ready'), EMPTY), asksDisk: true },
  { ...one('the status, its fields in their order', get('/v1/status'), json(STATUS)), asksDisk: true },
  ...SPEC_APIS.map(({ method, path, maxBody, timeoutSeconds }) =>
    one(
      `the list of APIs has ${path} with its limits`,
      get('/v1/api'),
      json(
        `[<any>{"method":"${method}","path":"${path}","max_body":${maxBody},"timeout":${timeoutSeconds}}<any>]`,
        `{"method":"${method}","path":"${path}","max_body":${maxBody},"timeout":${timeoutSeconds}}`,
      ),
      'api-list',
    ),
  ),
  ...FAMILIES.map(
    ([name, type, sample]): Case => ({
      ...one(`the metric ${name}`, get('/v1/metrics'), {
        status: 200,
        headers: TEXT,
        body: `<any># TYPE ${name} ${type}\n${name}${sample}<any>`,
        shown: `# TYPE ${name} ${type}, ${name}${sample}…`,
      }),
      before: [get('/v1/key/describe/vec-aes256-0')],
    }),
  ),
  one('metrics as Protocol Buffers, for who asks for them', get('/v1/metrics', { accept: PROTOBUF }), {
    status: 200,
    headers: { 'content-type': PROTOBUF.replaceAll(';', '; ') },
    body: '<any>kes_http_request_active<any>',
    shown: 'delimited messages',
  }),
]
