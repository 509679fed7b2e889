// What a record costs inside the filter: one request that is over, from the host's answers to its bytes in a batch, with the
// calls of the host that it needs, which here are JavaScript. Run with: node test/bench/filter-record.ts

import { filterModule } from '../helpers/filter-module.ts'
import { type LoggedRequest, LogHost, prepared } from '../filter/log-host.ts'

const DISTINCT = 1_000
const RECORDS = 100_000
const ROUNDS = 9

function requestOf(number: number): LoggedRequest {
  const id = `${number.toString(16).padStart(8, '0')}-84ad-458f-97d1-c4fc68b8e355`
  return {
    properties: {
      'request.time': 1_767_225_600_000_000_000n + BigInt(number) * 1_234_567n,
      'request.duration': 1_000_000n + BigInt(number) * 977n,
      'request.total_size': 402n,
      'response.code': 200n,
      'response.flags': 0n,
      'response.size': 1_234n,
      'response.total_size': 1_400n,
      'source.address': `10.1.2.3:${30_000 + (number % 20_000)}`,
      'upstream.address': `10.1.3.${number % 7}:8080`,
      'xds.cluster_name': 'outbound|80||reviews.shop.svc.cluster.local',
      'xds.node.id': 'sidecar~10.1.2.3',
    },
    requestHeaders: [
      [':method', 'GET'],
      [':path', `/shop/items/${number % 300}?page=${number % 10}`],
      [':authority', 'shop.example.com'],
      [':scheme', 'https'],
      ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
      ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
      ['accept-language', 'en-US,en;q=0.5'],
      ['accept-encoding', 'gzip, deflate, br, zstd'],
      ['x-forwarded-proto', 'https'],
      ['x-request-id', id],
      ['x-user', `user-${number % 100}`],
      ['cookie', 'session=0123456789abcdef0123456789abcdef'],
    ],
    responseHeaders: [[':status', '200']],
    responseTrailers: [],
  }
}

async function bench(): Promise<void> {
  const host = new LogHost(await filterModule(), { report: { request_headers: ['x-user'] } })
  const requests = Array.from({ length: DISTINCT }, (_, number) => prepared(requestOf(number)))
  let bytes = 0
  const run = (records: number) => {
    for (let each = 0; each < records; each++) {
      const request = requests[each % DISTINCT]
      if (request !== undefined) host.log(request)
      if (each % 400 !== 0) continue
      host.tick()
      for (const { message } of host.calls.splice(0)) {
        bytes += message.length
        host.taken()
      }
    }
  }
  run(RECORDS / 10)
  bytes = 0
  const times = Array.from({ length: ROUNDS }, () => {
    const before = process.cpuUsage()
    run(RECORDS)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / RECORDS
  })
  const [least = 0] = times.sort((a, b) => a - b)
  const median = times[ROUNDS >> 1] ?? 0
  const size = bytes / RECORDS / ROUNDS
  console.log(
    `a record: ${median.toFixed(2)} µs of processor time (least ${least.toFixed(2)}), ${size.toFixed(0)} bytes`,
  )
}

await bench()
