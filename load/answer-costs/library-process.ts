// A program with the library, which measures itself: its hits take less than asking it would.

import { type Client, createClient } from '../../src/client/library/index.ts'
import { HEADERS } from '../../test/bench/sample-requests.ts'
import { keyDigits } from '../kit/request-template.ts'
import { pathWith } from '../kit/requests.ts'
import { quantiles } from '../statistics.ts'

export interface LibraryFigures {
  /** Nanoseconds of one check, as means of `BATCH` of them. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of processor time for each, that of the process's other threads included. */
  readonly cpuMicros: number
  readonly checks: number
  /** Checks that were not answered at once. */
  readonly asked: number
}

export type LibraryMessage = { readonly ready: true } | { readonly figures: LibraryFigures }

/** Reading the clock takes some 50 ns. */
const BATCH = 50
/** Then sockets are read: otherwise the client would be out of touch with its node. */
const ROUND = 10_000

const [address = '', keys = '1000'] = process.argv.slice(2)
const headers = Object.fromEntries(HEADERS)
const requests = Array.from({ length: Number(keys) }, (_, key) => {
  const path = pathWith(keyDigits(key))
  return {
    'source.principal': 'cluster.local/ns/default/sa/bookinfo-productpage',
    'source.namespace': 'default',
    'destination.service.host': 'reviews.default.svc.cluster.local',
    'destination.service.name': 'reviews',
    'destination.namespace': 'default',
    'request.method': 'GET',
    'request.host': 'reviews.default.svc.cluster.local:9080',
    'request.path': path,
    'request.scheme': 'http',
    'request.headers': { ...headers, ':path': path },
  }
})
// All alike often.
const drawn = Array.from({ length: ROUND }, (_, i) => requests[(i * 7) % requests.length] ?? {})

/** A client that has all answers. Each measurement has a new one, since an answer is for some thousand uses. */
async function filled(): Promise<Client> {
  const client = createClient({ nodes: [address], refreshesPerSecond: 0 })
  await client.ready()
  await fill(client)
  const left = await fill(client)
  if (left > 0) throw new Error(`${left} of ${requests.length} answers were not kept`)
  return client
}

/** @returns checks that were not answered at once */
async function fill(client: Client): Promise<number> {
  let asked = 0
  for (const request of requests) {
    const result = client.check(request)
    if (!(result instanceof Promise)) continue
    asked++
    await result
  }
  return asked
}

async function measure(seconds: number): Promise<LibraryFigures> {
  const client = await filled()
  const times: number[] = []
  const asked: Promise<unknown>[] = []
  const before = process.cpuUsage()
  const endAt = performance.now() + seconds * 1_000
  while (performance.now() < endAt) {
    for (let at = 0; at < ROUND; at += BATCH) {
      const startedAt = process.hrtime.bigint()
      for (let i = at; i < at + BATCH; i++) {
        const result = client.check(drawn[i] ?? {})
        if (result instanceof Promise) asked.push(result.catch(() => undefined))
      }
      times.push(Number(process.hrtime.bigint() - startedAt) / BATCH)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { user, system } = process.cpuUsage(before)
  await Promise.all(asked)
  await client.close()
  const [p50, p99] = quantiles(Float64Array.from(times), 0.5, 0.99)
  return {
    p50,
    p99,
    cpuMicros: (user + system) / (times.length * BATCH),
    checks: times.length * BATCH,
    asked: asked.length,
  }
}

await measure(2)
process.on('message', (seconds: number) => {
  void measure(seconds).then((figures) => process.send?.({ figures } satisfies LibraryMessage))
})
process.send?.({ ready: true } satisfies LibraryMessage)
