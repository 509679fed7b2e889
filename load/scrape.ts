// What a scrape of many series costs the worker that is scraped: `node load/scrape.ts --help`.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { AdapterEnvironment } from '../src/adapter-kit/define-adapter.ts'
import prometheus from '../src/adapters/prometheus/index.ts'
import { createLogger } from '../src/observe/logger.ts'
import { createMeter } from '../src/observe/meter.ts'
import { systemClock } from '../src/kernel/system-clock.ts'
import { connectRedis } from '../src/redis/connection.ts'
import { RedisCounters } from '../src/redis/counters/redis-counters.ts'
import { createAdapterListener } from '../src/server/adapter-listener.ts'
import { runCommand } from './kit/command.ts'
import { printTable, say } from './output.ts'
import { startRedis } from './redis-process.ts'

const help = `node load/scrape.ts [OPTIONS]: what a worker spends on a scrape, and bytes of Redis by series

  --series N     default 30000
  --scrapes N    of each kind, default 5

Counters with 18 labels live in a Redis of its own. "idle": nothing has changed since the last scrape. "all changed":
every series has. "paused": Redis does not answer. "At once" is the most processor time that the worker's main thread
spent without a look at its other work.`

const options = { series: { type: 'string', default: '30000' }, scrapes: { type: 'string', default: '5' } } as const

const LABELS = Array.from({ length: 18 }, (_, i) => `destination_label_${i}`)
const BATCH = 1000

/** Asks from a thread of its own, so that the figures are those of answering. */
const SCRAPER = `
const { request } = require('node:http')
const { parentPort } = require('node:worker_threads')
parentPort.on('message', ({ port, headers }) => {
  const start = performance.now()
  let bytes = 0
  request({ port, path: '/metrics', headers, agent: false }, (answer) => {
    answer.on('data', (chunk) => { bytes += chunk.length })
    answer.on('end', () => parentPort.postMessage({ ms: performance.now() - start, bytes }))
  }).end()
})`

await runCommand({ help, options }, async (values, defer) => {
  const [series, scrapes] = [Number(values.series), Number(values.scrapes)]
  const redis = await startRedis()
  defer(() => redis.stop())
  const log = createLogger({
    format: 'json',
    level: 'error',
    terminal: false,
    write: (line) => process.stderr.write(line),
  })
  const meter = createMeter({ processMetrics: false })
  const ports = { clock: systemClock, random: Math.random, log, meter }
  const link = connectRedis({ access: { url: redis.url }, role: 'queue', ...ports })
  defer(async () => link.close())
  await new Promise<void>((resolve) => void link.onUp(resolve))
  const counters = new RedisCounters({ link, clock: systemClock, handler: 'scrape' })
  defer(() => counters.close())
  const listener = createAdapterListener(log)
  const environment: AdapterEnvironment = {
    handlerName: 'scrape',
    ...ports,
    fetch,
    schedule: () => undefined,
    counters,
    expose: (path, type, render) => void listener.expose(path, type, render, 'scrape'),
  }
  const params = {
    metrics: [
      { name: 'requests_total', instanceName: 'r', kind: 'COUNTER', labelNames: LABELS, cardinalityLimit: series + 1 },
    ],
  }
  const handler = prometheus.create(prometheus.config.parse(params), environment)
  await handler.start?.()
  let batches = 0
  const count = async () => {
    for (let from = 0; from < series; from += BATCH) {
      const instances = Array.from({ length: Math.min(BATCH, series - from) }, (_, i) => ({
        name: 'r',
        template: 'metric',
        fields: { value: 1, dimensions: Object.fromEntries(LABELS.map((label) => [label, `value-${from + i}`])) },
      }))
      const batchId = `b-${batches++}`
      await handler.report?.metric?.(instances, { batchId, deadline: 0, signal: new AbortController().signal })
    }
  }
  const before = await memoryOf(link)
  await count()
  const used = (await memoryOf(link)) - before
  defer(() => listener.close())
  const address = await listener.listen({ host: '127.0.0.1', port: 0 })
  const port = Number(address.split(':')[1])
  const scraper = new Worker(SCRAPER, { eval: true })
  defer(() => scraper.terminate())
  const rows: Record<string, string>[] = []
  const measure = async (kind: string, headers: Record<string, string>, between: () => Promise<void>) => {
    const figures: Scrape[] = []
    for (let i = 0; i < scrapes; i++) {
      await between()
      figures.push(await scrape(scraper, port, headers))
    }
    const median = (of: (figure: Scrape) => number) => figures.map(of).sort((a, b) => a - b)[scrapes >> 1] ?? 0
    rows.push({
      scrape: kind,
      ms: median(({ ms }) => ms).toFixed(0),
      'main thread ms': median(({ cpuMs }) => cpuMs).toFixed(0),
      'at once ms': median(({ atOnceMs }) => atOnceMs).toFixed(1),
      MB: (median(({ bytes }) => bytes) / 1e6).toFixed(2),
    })
  }
  await measure('idle', {}, async () => {})
  await measure('all changed', {}, count)
  await measure('all changed, gzip', { 'accept-encoding': 'gzip' }, count)
  redis.pause()
  await measure('paused', {}, async () => {})
  redis.resume()
  printTable(rows)
  say(`${Math.round(used / series)} bytes of Redis a series`)
})

interface Scrape {
  readonly ms: number
  readonly cpuMs: number
  readonly atOnceMs: number
  readonly bytes: number
}

async function scrape(scraper: Worker, port: number, headers: Record<string, string>): Promise<Scrape> {
  const turns = watchTurns()
  const start = mainThreadMs()
  // oxlint-disable-next-line require-post-message-target-origin -- a thread has no origin
  scraper.postMessage({ port, headers })
  const [answer] = (await once(scraper, 'message')) as [{ ms: number; bytes: number }]
  return { ...answer, cpuMs: mainThreadMs() - start, atOnceMs: turns.longest() }
}

function mainThreadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** Watches how much processor time passes from one turn of the event loop to the next. */
function watchTurns(): { longest(): number } {
  let [last, longest, ended] = [mainThreadMs(), 0, false]
  const look = () => {
    const time = mainThreadMs()
    longest = Math.max(longest, time - last)
    last = time
    // A timer, not an immediate: the loop sleeps where there is nothing to do.
    if (!ended) setTimeout(look, 1)
  }
  setTimeout(look, 1)
  return {
    longest() {
      ended = true
      return longest
    },
  }
}

async function memoryOf(link: ReturnType<typeof connectRedis>): Promise<number> {
  const info = await link.run((client) => client.info('memory'))
  return Number(/used_memory:(\d+)/.exec(info)?.[1])
}
