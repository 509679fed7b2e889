// What the filter tells of requests, in Node's WebAssembly: random ones, held against what the door of access logs derives of
// entries that say the same.
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { decodeAccessLog } from '../../src/wire/envoy-access-log.ts'
import { decodeMixerReport } from '../../src/wire/mixer/decode-report.ts'
import { unpackReportCall } from '../../src/wire/reports/report-call.ts'
import { filterModule } from '../helpers/filter-module.ts'
import { plainRecord, type ToldRecord } from '../helpers/told-records.ts'
import { accessLogOf, type Exchange, exchange, loggedRequest, REQUEST_HEADERS, RESPONSE_HEADERS } from './exchanges.ts'
import { LogHost, prepared } from './log-host.ts'

let module = ''
beforeAll(async () => {
  module = await filterModule()
}, 300_000)

const SETTINGS = { request_headers: REQUEST_HEADERS, response_headers: RESPONSE_HEADERS }

const inOrder = (records: readonly ToldRecord[]) =>
  records.toSorted((one, other) =>
    JSON.stringify(one['context.time']) < JSON.stringify(other['context.time']) ? -1 : 1,
  )

function told(host: LogHost): ToldRecord[] {
  return host.calls
    .flatMap(({ message }) => unpackReportCall(message).batches)
    .flatMap(({ payload, count }) => {
      const bags = decodeMixerReport(payload, new Map())
      expect(bags).toHaveLength(count)
      return bags.map(plainRecord)
    })
}

describe('records', () => {
  it.each([
    ['that evaluates expressions', true],
    ['that has to be asked for each value', false],
  ])('say what an access log would, each what was true of its own request, of an Envoy %s', (_name, evaluates) => {
    const host = new LogHost(module, { report: SETTINGS }, { evaluates })
    const some = fc.uniqueArray(exchange, { minLength: 1, maxLength: 60, selector: ({ start }) => start })
    fc.assert(
      fc.property(some, (exchanges: readonly Exchange[]) => {
        host.calls.length = 0
        for (const each of exchanges) host.log(prepared(loggedRequest(each)))
        host.tick(1_000)
        host.taken()
        const expected = decodeAccessLog(accessLogOf(exchanges)).map(plainRecord)
        const bare = told(host).map((record) => withoutKnown(record, expected))
        expect(inOrder(bare)).toEqual(inOrder(expected))
      }),
      { numRuns: 300 },
    )
    expect(host.evaluated > 0).toBe(evaluates)
  })
})

/** Without the status of gRPC that the filter knows although no header says it. */
function withoutKnown(record: ToldRecord, expected: readonly ToldRecord[]): ToldRecord {
  const other = expected.find((each) => each['context.time'] === record['context.time'])
  if (other === undefined || 'response.grpc_status' in other) return record
  const { 'response.grpc_status': _, ...rest } = record
  return rest
}
