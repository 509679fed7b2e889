// What things take in Redis: `node load/redis-sizes.ts [--quick]`.

import { setTimeout as pause } from 'node:timers/promises'
import { runCommand } from './kit/command.ts'
import { printTable, saveResults, say } from './output.ts'
import { accessLog, mixerReport, RECORDS } from './reports/records.ts'
import { openSender, type ReportDoor } from './reports/sender.ts'
import { FILLED, SINK } from './sizes/config.ts'
import { startWorld, type World } from './sizes/world.ts'

const help = `node load/redis-sizes.ts [--quick]: bytes of Redis for each verdict, record, dead letter, series, revocation, quota and process

  --quick   a tenth of each number

What Redis uses (used_memory, without its buffers for clients) before and after, divided by how many there are more.`

const AT_ONCE = 16
const AGAIN_MS = 20
/** Records of one report in JSON. */
const A_REPORT = 100

type Row = Readonly<Record<'what', string> & Record<'count' | 'bytes each', number>>

type Defer = (end: () => Promise<unknown>) => void

await runCommand({ options: { quick: { type: 'boolean', default: false } }, help }, async ({ quick }, defer) => {
  const count = (full: number) => (quick ? full / 10 : full)
  const rows: Row[] = []
  for (const measure of [verdicts, reportsWaiting, batchesHeld, series, processes, revocations, quotas]) {
    const ends: (() => Promise<unknown>)[] = []
    const end = async () => {
      for (const each of ends.splice(0).toReversed()) await each()
    }
    defer(end)
    for (const row of await measure((each) => ends.push(each), count)) {
      rows.push(row)
      say(`${row.what}: ${row['bytes each']}`)
    }
    await end()
  }
  say('')
  printTable(rows)
  await saveResults('redis-sizes', { quick, rows })
})

type Count = (full: number) => number

async function grown(world: World, what: string, count: number, work: () => Promise<unknown>): Promise<Row> {
  const before = await world.dataBytes()
  await work()
  return { what, count, 'bytes each': Math.round(((await world.dataBytes()) - before) / count) }
}

async function verdicts(defer: Defer, count: Count): Promise<Row[]> {
  const world = await startWorld(defer)
  const number = count(10_000)
  const stored = async () => (await world.redis.keys('intermix:{*}:v')).length
  // Until the node follows the revocations it keeps its answers to itself.
  let tries = 0
  const untilShared = async () => {
    await check(world, `/asked/first/${++tries}`)
    return await stored()
  }
  await world.until(untilShared, 1)
  const rows: Row[] = []
  for (const [what, status, bytes] of [
    ['verdict: allowed', 200, 0],
    ['verdict: denied', 403, 0],
    ['verdict: denied, 200 bytes of headers', 403, 200],
    ['verdict: denied, 1,000 bytes of headers', 403, 1_000],
    ['verdict: denied, 4,000 bytes of headers', 403, 4_000],
  ] as const) {
    world.answer(status, bytes === 0 ? {} : { [FILLED]: 'x'.repeat(bytes) })
    const before = [await stored(), await world.dataBytes()] as const
    await each(number, (i) => check(world, `/asked/${status}/${bytes}/${i}`))
    const used = (await world.dataBytes()) - before[1]
    // On a busy machine Redis is late now and then, and a verdict is not shared.
    const found = (await stored()) - before[0]
    rows.push({ what, count: found, 'bytes each': Math.round(used / found) })
  }
  return rows
}

async function reportsWaiting(defer: Defer, count: Count): Promise<Row[]> {
  const world = await startWorld(defer)
  const number = count(50_000)
  // The first makes what there is once.
  await sendJson(world, 'waiting', A_REPORT, 0)
  const rows = [
    await grown(world, 'record that waits for a worker: JSON', number, () => sendJson(world, 'waiting', number, 0)),
  ]
  for (const [what, door, encode] of [
    ['record that waits for a worker: Mixer', 'mixer', mixerReport],
    ['record that waits for a worker: access log', 'als', accessLog],
  ] as const) {
    rows.push(await grown(world, what, number, () => sendAll(world, door, number, encode)))
  }
  return rows
}

async function sendAll(world: World, door: ReportDoor, records: number, encode: typeof mixerReport): Promise<void> {
  const sender = openSender(door, world.node.grpc, 8)
  const before = await arrivedAtQueue(world)
  try {
    await sender.send(Array.from({ length: records / RECORDS }, (_, i) => encode(i, 50)))
    await world.until(async () => (await arrivedAtQueue(world)) - before, records)
  } finally {
    sender.close()
  }
}

/** Records that the node has put into the queue. */
async function arrivedAtQueue(world: World): Promise<number> {
  const text = await (await fetch(`http://${world.node.admin}/debug/ledger`)).text()
  const { nodes } = JSON.parse(text) as { nodes: readonly { delivered: number }[] }
  return nodes.reduce((sum, { delivered }) => sum + delivered, 0)
}

async function batchesHeld(defer: Defer, count: Count): Promise<Row[]> {
  const number = count(20_000)
  const rows: Row[] = []
  for (const [what, status, field] of [
    ['line of ten variables that waits for its backend', 503, 'held'],
    ['line of ten variables in a dead letter', 400, 'deadLetters'],
  ] as const) {
    const world = await startWorld(defer)
    world.answer(status)
    await world.startRole('worker')
    const there = async () => (await handlerTotals(world))[SINK]?.[field] ?? 0
    await sendJson(world, 'held', A_REPORT, 0)
    await world.until(there, A_REPORT)
    rows.push(
      await grown(world, what, number, async () => {
        await sendJson(world, 'held', number, 1)
        await world.until(there, number + A_REPORT)
      }),
    )
  }
  return rows
}

type Totals = Readonly<
  Record<string, { readonly held: number; readonly deadLetters: number; readonly delivered: number }>
>

async function handlerTotals(world: World): Promise<Totals> {
  const text = await (await fetch(`http://${world.node.admin}/debug/ledger`)).text()
  return (JSON.parse(text) as { handlers: Totals }).handlers
}

async function series(defer: Defer, count: Count): Promise<Row[]> {
  const world = await startWorld(defer)
  await world.startRole('worker')
  const rows: Row[] = []
  for (const [what, kind, number] of [
    ['series of a counter, five labels', 'counter', count(20_000)],
    ['histogram with 11 buckets, five labels', 'histogram', count(20_000)],
  ] as const) {
    const delivered = async () => (await handlerTotals(world))[`${kind}.handler.istio-system`]?.delivered ?? 0
    await sendJson(world, kind, A_REPORT, 0)
    await world.until(delivered, A_REPORT)
    const before = await world.dataBytes()
    await sendJson(world, kind, number, A_REPORT)
    await world.until(delivered, number + A_REPORT)
    rows.push({ what, count: number, 'bytes each': Math.round(((await world.dataBytes()) - before) / number) })
  }
  return rows
}

async function processes(defer: Defer): Promise<Row[]> {
  const world = await startWorld(defer)
  await world.startRole('worker')
  const rows: Row[] = []
  for (const role of ['node', 'worker'] as const) {
    const number = 3
    const before = await world.connections()
    for (let i = 0; i < number; i++) await world.startRole(role)
    const after = await world.connections()
    const connections = (after.count - before.count) / number
    rows.push({
      what: `idle ${role}, with its ${connections} connections`,
      count: number,
      'bytes each': Math.round((after.bytes - before.bytes) / number),
    })
  }
  return rows
}

async function revocations(defer: Defer, count: Count): Promise<Row[]> {
  const world = await startWorld(defer)
  const number = count(5_000)
  const revoke = async (value: string) => {
    const target = { kind: 'attribute', name: 'source.principal', value: `cluster.local/ns/default/sa/${value}` }
    await untilTaken(`http://${world.node.admin}/v1/revocations`, target)
  }
  await revoke('first')
  return [await grown(world, 'revocation by an attribute', number, () => each(number, (i) => revoke(`client-${i}`)))]
}

async function quotas(defer: Defer, count: Count): Promise<Row[]> {
  const world = await startWorld(defer)
  const number = count(10_000)
  return [
    await grown(world, 'counter of a quota', number, () =>
      each(number, (i) => check(world, `/limited/${i}`, { 'per-client': { amount: 1 } })),
    ),
  ]
}

async function check(world: World, path: string, quotas = {}): Promise<void> {
  await untilTaken(`http://${world.node.http}/v1/check`, { attributes: { 'request.path': path }, quotas })
}

/** Asks again where the node has too much to do, as on a busy machine. */
async function untilTaken(url: string, body: object): Promise<void> {
  for (;;) {
    const answer = await post(url, body)
    const text = await answer.text()
    if (answer.ok) return
    if (answer.status !== 503) throw new Error(`${url}: HTTP ${answer.status} ${text}`)
    await pause(AGAIN_MS)
  }
}

/** Records that begin with a path, each from a workload of its own. */
async function sendJson(world: World, path: string, records: number, from: number): Promise<void> {
  await each(records / A_REPORT, async (report) => {
    const list = Array.from({ length: A_REPORT }, (_, i) => record(path, from + report * A_REPORT + i))
    await untilTaken(`http://${world.node.http}/v1/report`, { records: list })
  })
}

function record(path: string, at: number): object {
  return {
    'request.path': `/${path}/reviews/${at % 10}?lang=en`,
    'request.method': 'GET',
    'request.useragent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0',
    'request.id': `b1946ac9-2c1f-4d5e-9f37-${String(at).padStart(12, '0')}`,
    'response.code': 200,
    'response.size': (at * 37) % 20_000,
    'response.duration': `${1 + (at % 90)}ms`,
    'source.workload.name': `client-${at}`,
    'source.workload.namespace': 'default',
    'source.principal': `cluster.local/ns/default/sa/client-${at}`,
    'destination.workload.name': 'reviews-v2',
    'destination.service.host': 'reviews.default.svc.cluster.local',
  }
}

async function post(url: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
}

async function each(count: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}
