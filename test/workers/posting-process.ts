// A worker process for tests that stop and kill it: posts to a backend over HTTP.

import { createHttpReport } from '../../src/adapters/http/report.ts'
import { config } from '../../src/adapters/http/config.ts'
import { WorkerRuntime } from '../../workers/worker-runtime.ts'
import { fixedRandom, KeptLog, ReadableMeter, realClock, testLink, untilUp } from '../redis/support.ts'
import { dispatchByName, jsonFormats, snapshotOf } from './support.ts'

const [, , redisUrl = '', url = ''] = process.argv
const { link } = testLink(redisUrl, 1000)
await untilUp(link)
const handler = { report: createHttpReport(config.parse({ url }), { fetch, clock: realClock }) }
const runtime = new WorkerRuntime({
  redis: { url: redisUrl },
  link,
  clock: realClock,
  random: fixedRandom,
  log: new KeptLog(),
  meter: new ReadableMeter(),
  formats: jsonFormats,
  dispatchFor: dispatchByName,
  tuning: { lockDurationMs: 1500, stalledIntervalMs: 500, retries: { firstDelayMs: 50 } },
})
runtime.start(snapshotOf(['http'], 5000), new Map([['http', handler]]))
process.once('SIGTERM', () => {
  void runtime.stop(5000).then(() => process.exit(0))
})
process.stdout.write('started\n')
