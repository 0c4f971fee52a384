import { expect, test } from 'vitest'
import { checkFault, checkFilter } from './fault-options.ts'

test.each([
  { kind: 'latency', ms: 0 },
  {
    kind: 'latency',
    ms: 5.5,
    jitterMs: 2,
    paths: '/v1/*',
    methods: ['GET', 'PUT'],
    times: 1,
    probability: 1,
  },
  { kind: 'refuse' },
  { kind: 'reset' },
  { kind: 'reset', at: 'request', times: 2 },
  { kind: 'hang', at: 'request', paths: ['/a', '/b'] },
  { kind: 'hang', at: 'connection' },
  { kind: 'hang', at: undefined },
  { kind: 'error', status: 503, body: { message: 'no' }, headers: { 'retry-after': '1' } },
  { kind: 'throttle', bytesPerSecond: 0.5 },
])('%j is a fault', (fault) => {
  expect(checkFault(fault)).toBe(fault)
})

test.each([
  [undefined, 'a fault is an object with a `kind`'],
  [[], 'a fault is an object with a `kind`'],
  [{}, 'nothing is no kind of fault: latency, refuse, reset, hang, error, throttle'],
  [{ kind: 'toString' }, '"toString" is no kind of fault: latency, refuse, reset, hang, error, throttle'],
  [{ kind: 'latency' }, 'latency: `ms` is a number from 0 up to 3600000, not nothing'],
  [{ kind: 'latency', ms: -1 }, 'latency: `ms` is a number from 0 up to 3600000, not -1'],
  [{ kind: 'latency', ms: '5' }, 'latency: `ms` is a number from 0 up to 3600000, not "5"'],
  [
    { kind: 'latency', ms: 1, jitterMs: Number.NaN },
    'latency: `jitterMs` is a number from 0 up to 3600000, not NaN',
  ],
  [{ kind: 'latency', ms: 1, jiterMs: 2 }, 'latency: has no `jiterMs`'],
  [{ kind: 'refuse', times: 1 }, 'refuse: has no `times`'],
  [{ kind: 'refuse', paths: '/v1/*' }, 'refuse: has no `paths`'],
  [{ kind: 'reset', at: 'connection' }, 'reset: `at` is answer or request, not "connection"'],
  [{ kind: 'hang', at: 'connection', times: 1 }, 'hang: has no `times` at a connection'],
  [{ kind: 'error', status: 200 }, 'error: `status` is a whole number from 400 up to 599, not 200'],
  [{ kind: 'error', status: 500, headers: { a: 1 } }, 'error: `headers` is an object of texts'],
  [{ kind: 'error', status: 500, headers: { Age: '1' } }, "error: the header 'Age' is written in lower case"],
  [{ kind: 'error', status: 500, headers: { te: '1' } }, "error: the header 'te' is not that of an answer"],
  [{ kind: 'error', status: 500, headers: { 'a b': '' } }, 'Header name must be a valid HTTP token ["a b"]'],
  [{ kind: 'error', status: 500, headers: { a: 'b\nc' } }, 'Invalid character in header content ["a"]'],
  [{ kind: 'error', status: 500, body: () => 1 }, 'error: `body` is not JSON'],
  [{ kind: 'throttle', bytesPerSecond: 0 }, 'throttle: `bytesPerSecond` is a number above 0, not 0'],
  [{ kind: 'hang', times: 0 }, 'hang: `times` is a whole number from 1, not 0'],
  [{ kind: 'hang', times: 1.5 }, 'hang: `times` is a whole number from 1, not 1.5'],
  [{ kind: 'hang', probability: 0 }, 'hang: `probability` is a number above 0 up to 1, not 0'],
  [{ kind: 'hang', probability: 1.1 }, 'hang: `probability` is a number above 0 up to 1, not 1.1'],
  [{ kind: 'hang', paths: [1] }, 'hang: `paths` is a text, or an array of texts'],
  [{ kind: 'hang', methods: {} }, 'hang: `methods` is a text, or an array of texts'],
])('%j is refused: %s', (value, message) => {
  expect(() => checkFault(value)).toThrow(expect.objectContaining({ name: 'TypeError', message }))
})

test('a filter has paths and methods, and nothing else', () => {
  expect(checkFilter({ paths: '/v1/*', methods: ['GET'] })).toEqual({ paths: '/v1/*', methods: ['GET'] })
  expect(() => checkFilter({ path: '/v1/*' })).toThrow(new TypeError('a filter: has no `path`'))
})
