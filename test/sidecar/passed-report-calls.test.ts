// Calls of reports at a sidecar: a node takes them as they came, and what it says is what their sender is told.
import { beforeEach, describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { Code } from '../../src/kernel/status.ts'
import { type GrpcCall, GrpcFailure, type UnaryMethod } from '../../src/server/grpc-service.ts'
import { passedReportCalls } from '../../src/sidecar/passed-report-calls.ts'
import { encodeReportCall } from '../../src/wire/reports/report-call.ts'
import { FakeClock } from '../helpers/clock.ts'
import { dependencies } from '../server/fixtures.ts'

const payloads = Buffer.from('record')
const part = { format: 'of a later version', count: 1, size: payloads.length, acceptedAt: 1 }
const encoded = (id: string) =>
  encodeReportCall({ id, sender: 'filter-1', parts: [part], isCompressed: false, payloads })

describe('the reports service of a sidecar', () => {
  let clock: FakeClock
  let asked: { readonly path: string; readonly message: Uint8Array; readonly affinity: string; timeoutMs: number }[]
  let says: () => Uint8Array
  let pass: (bytes: Uint8Array, of?: Partial<GrpcCall>) => Promise<Uint8Array | GrpcFailure>

  beforeEach(() => {
    clock = new FakeClock()
    asked = []
    says = () => Buffer.of()
    const nodes = {
      async call(path: string, message: Uint8Array, how: { affinity: string; timeoutMs: number }) {
        asked.push({ path, message, affinity: how.affinity, timeoutMs: how.timeoutMs })
        return says()
      },
    }
    const { methods } = passedReportCalls({ ...dependencies(), clock, nodes, defaultTimeoutMs: 700 })
    const method = methods[0] as UnaryMethod
    pass = async (bytes, of) => await method.answer(bytes, { deadline: Number.POSITIVE_INFINITY, peer: 'unix:', ...of })
  })

  const failureOf = async (failing: Promise<unknown>) => {
    const failure = await failing
    if (!(failure instanceof GrpcFailure)) throw new Error('it was taken')
    return failure
  }

  it('passes calls as they are, whatever is in them, and those with one id to one node', async () => {
    for (const id of ['filter-1.1', 'filter-1.1', 'filter-1.2']) expect(await pass(encoded(id))).toEqual(Buffer.of())
    expect(asked.map(({ affinity }) => affinity)).toEqual(['filter-1.1', 'filter-1.1', 'filter-1.2'])
    expect(asked[0]).toMatchObject({ path: '/intermix.v1.Reports/Report', timeoutMs: 700 })
    expect(asked[0]?.message).toEqual(encoded('filter-1.1'))
  })

  it('tells what a node refuses for good apart from what may be sent again', async () => {
    const codes = []
    for (const code of ['INVALID_REQUEST', 'TOO_LARGE', 'OVERLOADED', 'BACKEND_FAILED', 'NOT_READY'] as const) {
      says = () => {
        throw new IntermixError(code, 'so it is')
      }
      codes.push((await failureOf(pass(encoded('filter-1.1')))).code)
    }
    const [never, later] = [Code.INVALID_ARGUMENT, Code.UNAVAILABLE]
    expect(codes).toEqual([never, never, later, later, later])
  })

  it('asks no node about what is no call, or comes too late', async () => {
    expect((await failureOf(pass(Buffer.alloc(100, 0xff)))).code).toBe(Code.INVALID_ARGUMENT)
    const late = pass(encoded('filter-1.1'), { deadline: clock.now() })
    expect((await failureOf(late)).code).toBe(Code.DEADLINE_EXCEEDED)
    expect(asked).toEqual([])
  })
})
