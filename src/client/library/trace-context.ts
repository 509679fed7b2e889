// W3C trace context: what came with the request that is being answered goes along with the calls made for it.
// https://www.w3.org/TR/trace-context/

import { AsyncLocalStorage } from 'node:async_hooks'

export interface TraceContext {
  readonly traceparent: string
  readonly tracestate: string | undefined
}

const current = new AsyncLocalStorage<TraceContext | undefined>()

/** Version, trace, parent and flags; later versions may have more behind them. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-.*)?$/
/** What has to be passed on (section 3.3.1.5); more is left out as a whole. */
const MAX_TRACESTATE = 512

/** The context that headers carry; `undefined` where they carry none that is valid. */
export function traceOf(header: (name: string) => string | undefined): TraceContext | undefined {
  const traceparent = header('traceparent')
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return undefined
  const tracestate = header('tracestate')
  return {
    traceparent,
    tracestate: tracestate !== undefined && tracestate.length <= MAX_TRACESTATE ? tracestate : undefined,
  }
}

/** Does work for a request that came with this context, if with any: what it calls carries it on, also later. */
export function withTrace<T>(trace: TraceContext | undefined, work: () => T): T {
  return current.run(trace, work)
}

/** The context of the request for which this runs. */
export function currentTrace(): TraceContext | undefined {
  return current.getStore()
}
