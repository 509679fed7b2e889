// A worker process for tests that kill it: delivers to a prometheus handler with counters in Redis, serves its metrics.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { partsOf, piecesOf } from '../../src/adapter-kit/exposed-part.ts'
import prometheus from '../../src/adapters/prometheus/index.ts'
import { RedisCounters } from '../../src/redis/counters/redis-counters.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, untilUp } from '../redis/support.ts'
import { dispatchByName, jsonFormats, snapshotOf } from './support.ts'

const [, , redisUrl = '', leaseMs = '1000'] = process.argv
const { link } = testLink(redisUrl, 1000)
await untilUp(link)
const log = new KeptLog()
const meter = new ReadableMeter()
const counters = new RedisCounters({ link, clock: realClock, handler: 'prom', leaseMs: Number(leaseMs) })
let render: (() => Promise<string>) | undefined
const handler = prometheus.create(
  prometheus.config.parse({
    metrics: [{ name: 'requests_total', instanceName: 'requests', kind: 'COUNTER', labelNames: ['n'] }],
  }),
  {
    handlerName: 'prom',
    clock: realClock,
    random: fixedRandom,
    log,
    meter,
    fetch,
    schedule: () => undefined,
    counters,
    expose: (_path, _type, body) => {
      render = async () => piecesOf(partsOf(await body())).join('')
    },
  },
)
await handler.start?.()
const runtime = new WorkerRuntime({
  redis: { url: redisUrl },
  link,
  clock: realClock,
  random: fixedRandom,
  log,
  meter,
  formats: jsonFormats,
  dispatchFor: dispatchByName,
  tuning: { lockDurationMs: 1500, stalledIntervalMs: 500, retries: { firstDelayMs: 50 } },
})
runtime.start(snapshotOf(['prom'], 5000), new Map([['prom', handler]]))
const server = createServer((_request, response) => {
  void Promise.resolve(render?.()).then(
    (body) => response.end(body),
    () => response.writeHead(500).end(),
  )
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`))
process.once('SIGTERM', () => {
  void runtime
    .stop(1000)
    .then(() => counters.close())
    .then(() => process.exit(0))
})
