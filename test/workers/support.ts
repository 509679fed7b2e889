// A small world for worker tests: records are JSON objects of strings, and each record goes to one or more handlers.

import type { AnyAdapter, Handler } from '../../src/adapter-kit/define-adapter.ts'
import type { ExportWishes } from '../../src/adapter-kit/exporter/limits.ts'
import noop from '../../src/adapters/noop/index.ts'
import { digestOf } from '../../src/config/digest.ts'
import type { HandlerConfig, Snapshot } from '../../src/config/snapshot.ts'
import { type AttributeBag, MapBag } from '../../src/kernel/attribute-bag.ts'
import type { ReportBatch, ReportFormats } from '../../src/kernel/report.ts'
import type { ReportDispatch } from '../../src/telemetry/expand.ts'

function decode(payload: Uint8Array): AttributeBag[] {
  const records = JSON.parse(Buffer.from(payload).toString()) as Record<string, string>[]
  return records.map((record) => MapBag.of(record))
}

export const jsonFormats: ReportFormats = new Map([['attributes', { name: 'attributes', sparable: false, decode }]])

let serial = 0

/** A batch of records `{to, n}`; `to` names the handler. */
export function batchTo(handler: string, count: number, id = `batch-${process.pid}-${++serial}`): ReportBatch {
  const records = Array.from({ length: count }, (_, n) => ({ to: handler, n: String(n) }))
  return { id, format: 'attributes', count, payload: Buffer.from(JSON.stringify(records)), acceptedAt: Date.now() }
}

/** A config that knows these handlers. */
export function snapshotOf(handlers: readonly string[], reportTimeoutMs = 1000, reportLimits?: ExportWishes): Snapshot {
  const adapter: AnyAdapter = {
    ...noop,
    target: () => 'backend:80',
    ...(reportLimits === undefined ? {} : { reportLimits }),
  }
  const configs = handlers.map((name) => [name, { name, adapter, reportTimeoutMs } as HandlerConfig] as const)
  return {
    id: handlers.join(','),
    reportDigest: digestOf(handlers),
    vocabulary: new Map(),
    handlers: new Map(configs),
    instances: new Map(),
    rules: [],
    defaultNamespace: 'istio-system',
    warnings: [],
  }
}

/** Sends each record to the handler that it names, where the config has it, as a metric with value 1. */
export function dispatchByName(snapshot: Snapshot): ReportDispatch {
  return (bag) => {
    const to = bag.get('to')
    const handler = typeof to === 'string' ? snapshot.handlers.get(to) : undefined
    if (handler === undefined) return []
    const fields = { value: 1n, dimensions: { n: bag.get('n') ?? '' } }
    return [{ handler, instance: { name: 'requests', template: 'metric', fields } }]
  }
}

/** A handler that counts the instances it gets, by batch. */
export class CountingHandler implements Handler {
  readonly batches = new Map<string, number>()
  calls = 0
  failWith: (() => unknown) | undefined

  readonly report = {
    metric: (instances: readonly unknown[], { batchId }: { readonly batchId: string }) => {
      this.calls++
      if (this.failWith !== undefined) throw this.failWith()
      this.batches.set(batchId, instances.length)
    },
  }

  get total(): number {
    return [...this.batches.values()].reduce((sum, count) => sum + count, 0)
  }
}
