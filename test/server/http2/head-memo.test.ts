// Header blocks that are remembered mean what they would mean if they were decoded, whatever happened to the table meanwhile.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/kernel/system-clock.ts'
import { Admission } from '../../../src/server/admission.ts'
import { Flag } from '../../../src/wire/http2/frames.ts'
import { HeaderIntake, MAX_LIST_BYTES } from '../../../src/server/http2/header-intake.ts'
import { HpackDecoder } from '../../../src/wire/http2/hpack/decoder.ts'
import { HpackEncoder } from '../../../src/wire/http2/hpack/encoder.ts'
import { encodeFields } from '../../../src/wire/http2/hpack/encode-fields.ts'
import type { Field } from '../../../src/wire/http2/hpack/hpack-error.ts'
import { MemoryBudget } from '../../../src/wire/http2/memory-budget.ts'
import { HeadReader, type RequestHead } from '../../../src/server/http2/request-head.ts'
import { routesOf } from '../../../src/server/http2/routes.ts'
import { dependencies } from '../fixtures.ts'

const PATHS = ['/a.A/One', '/a.A/Two']
const given = dependencies()
const routes = routesOf(
  [{ name: 'a.A', methods: PATHS.map((path) => ({ kind: 'unary', path, answer: (request) => request })) }],
  new Admission({ ...given, clock: systemClock, loopLag: { lagMs: () => 0 }, maxInFlight: 1 }),
)

const request = fc.record({
  path: fc.constantFrom(...PATHS, '/a.A/None'),
  timeout: fc.option(fc.constantFrom('1S', '2S', '100m'), { nil: undefined }),
  noise: fc.constantFrom('', 'x', 'y', 'z'.repeat(60), 'bad ', 'w'.repeat(300)),
})
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ request, table: fc.boolean(), times: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ tableBytes: fc.constantFrom(0, 100, 300, 4096) }) },
)

function fieldsOf({ path, timeout, noise }: { path: string; timeout: string | undefined; noise: string }): Field[] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    ['content-type', 'application/grpc'],
    ...(timeout === undefined ? [] : [['grpc-timeout', timeout] as const]),
    ...(noise === '' ? [] : [['x-noise', noise] as const]),
  ]
}

describe('remembered header blocks', () => {
  it('mean what they mean now', () => {
    let remembered = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
        const encoder = new HpackEncoder()
        const heads: RequestHead[] = []
        const target = { request: (_id: number, head: RequestHead) => void heads.push(head), trailers: () => {} }
        const intake = new HeaderIntake(new HeadReader(routes), target, new MemoryBudget(0))
        const plainReader = new HeadReader(routes)
        const plain = new HpackDecoder({ maxTableBytes: 4096, maxListBytes: MAX_LIST_BYTES })
        const seen = new Set<RequestHead>()
        let id = 1
        for (const each of steps) {
          if ('tableBytes' in each) {
            encoder.peerTableBytes(each.tableBytes)
            continue
          }
          const fields = fieldsOf(each.request)
          for (let time = 0; time < each.times; time++) {
            const block = each.table ? encoder.encode(fields) : encodeFields(fields)
            intake.headers(Flag.END_HEADERS, id, block, 0, block.length)
            id += 2
            plainReader.begin()
            const expected = plainReader.finish(plain.decode(block, 0, block.length, plainReader) === 'ok')
            const head = heads.at(-1)
            expect(head).toEqual(expected)
            if (head?.kind === 'call' && seen.has(head)) remembered++
            if (head !== undefined) seen.add(head)
          }
        }
      }),
    )
    // Where none is remembered, the test is of no use.
    expect(remembered).toBeGreaterThan(100)
  })
})
