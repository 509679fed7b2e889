// What sidecars gather for nodes: `node load/telemetry.ts --help`.

import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type AttributeBag, MapBag } from '../src/kernel/attribute-bag.ts'
import { encodeMixerReports } from '../src/wire/mixer/report-writer.ts'
import { encodeRecords } from '../src/wire/record-json.ts'
import { ATTRIBUTES, ENVOY_ALS, MIXER_REPORT } from '../src/wire/report-formats.ts'
import { runCommand } from './kit/command.ts'
import { cpuSeconds, memoryOf } from './kit/process-usage.ts'
import { printTable, saveResults, say } from './output.ts'
import { freePorts, start } from './processes.ts'
import { accessLog, mixerReport, RECORDS } from './reports/records.ts'
import { openSender, type ReportDoor, type Sender } from './reports/sender.ts'

const help = `node load/telemetry.ts [OPTIONS]: records through a sidecar to a node, both real processes

  --records N        records in all; default 1000000
  --door NAME,…      als (access logs), mixer (Report); default both
  --away SECONDS     no node is there for so long, while records come; default 0
  --rate N           records a second at most; default 0: as fast as the sidecar takes them
  --buffer SIZE      what the sidecar may hold (--report-buffer-bytes); default 16MiB
  --encodings        instead: what each way of sending a call costs, in bytes and processor time a record

Ends with an error where a record is neither counted nor told of as dropped, or where a call has fewer than 2,000 records in
the mean, as fast as it goes.`

const options = {
  records: { type: 'string', default: '1000000' },
  door: { type: 'string', default: 'als,mixer' },
  away: { type: 'string', default: '0' },
  rate: { type: 'string', default: '0' },
  buffer: { type: 'string', default: '16MiB' },
  encodings: { type: 'boolean', default: false },
} as const

const SETS = 50
const PIECE = 20
const STUCK_AFTER_MS = 60_000
/** DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE. */
const REFUSED: ReadonlySet<unknown> = new Set([4, 8, 14])
const LEAST_A_CALL = 2_000

await runCommand({ options, help }, async (values, defer) => {
  if (values.encodings) return await encodings()
  const config = await mkdtemp(join(tmpdir(), 'intermix-telemetry-'))
  defer(() => rm(config, { recursive: true, force: true }))
  for (const name of ['prometheus.yaml', 'attributes.yaml'])
    await copyFile(fileURLToPath(new URL(`../examples/istio/${name}`, import.meta.url)), join(config, name))
  const rows = []
  for (const door of values.door.split(',') as ReportDoor[]) {
    const row = await through(door, values, config, defer)
    rows.push(row)
    printTable([row])
  }
  await saveResults('telemetry', rows)
})

type Defer = (end: () => Promise<unknown>) => void

async function startRole(role: 'all' | 'sidecar', flags: Readonly<Record<string, string>>, defer: Defer) {
  const all = {
    '--admin-address': '127.0.0.1:0',
    '--http-address': '127.0.0.1:0',
    '--grpc-address': '127.0.0.1:0',
    '--log-format': 'json',
    ...flags,
  }
  const child = await start({
    command: process.execPath,
    args: ['bin/intermix.js', role, ...Object.entries(all).flat()],
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'intermix-load-compile-cache') },
    ready: /"addresses":(\{[^}]*\})/,
  })
  defer(() => child.stop(15_000))
  const { grpc = '', admin = '' } = JSON.parse(child.match[1] ?? '{}') as Readonly<Record<string, string>>
  return { ...child, grpc, admin: `http://${admin}` }
}

async function through(
  door: ReportDoor,
  values: { readonly records: string; readonly away: string; readonly rate: string; readonly buffer: string },
  config: string,
  defer: Defer,
) {
  const [port = 0] = await freePorts(1)
  const address = `127.0.0.1:${port}`
  const sidecar = await startRole('sidecar', { '--nodes': address, '--report-buffer-bytes': values.buffer }, defer)
  const startNode = () =>
    startRole(
      'all',
      { '--config': config, '--redis': 'none', '--grpc-address': address, '--prometheus-address': '127.0.0.1:0' },
      defer,
    )
  const node = (async () => {
    await pause(Number(values.away) * 1_000)
    return await startNode()
  })()
  if (values.away === '0') await node
  const reports = Math.ceil(Number(values.records) / RECORDS)
  const encode = door === 'mixer' ? mixerReport : accessLog
  const payloads = Array.from({ length: 200 }, (_, number) => encode(number, SETS))
  const sender = openSender(door, sidecar.grpc, 8)
  const rate = Number(values.rate)
  const startedAt = Date.now()
  for (let sent = 0; sent < reports; sent += PIECE) {
    const piece = Array.from({ length: Math.min(PIECE, reports - sent) }, (_, i) => payloads[(sent + i) % 200])
    if (door === 'als') await sender.send(piece.flatMap((payload) => payload ?? []))
    else await Promise.all(piece.map((payload) => untilTaken(sender, payload ?? new Uint8Array(0))))
    if (rate > 0) await pause(Math.max(0, startedAt + ((sent * RECORDS) / rate) * 1_000 - Date.now()))
    // Node and sidecar share this machine with who sends: the node's own bound is not what is looked for.
    else if (values.away === '0') await untilHeld(sidecar.admin, 20 * RECORDS * PIECE)
  }
  sender.close()
  const { admin, pid } = await node
  const figures = await settled(sidecar.admin, admin, reports * RECORDS)
  const seconds = (of: number) => ((cpuSeconds([of]) * 1e6) / (reports * RECORDS)).toFixed(2)
  const each = Math.round(figures.sent / figures.calls)
  if (rate === 0 && figures.dropped === 0 && each < LEAST_A_CALL) throw new Error(`a call has ${each} records`)
  return {
    door,
    records: reports * RECORDS,
    ...figures,
    'records/call': each,
    'sidecar s/M': seconds(sidecar.pid),
    'node s/M': seconds(pid),
    'sidecar peak MiB': (memoryOf([sidecar.pid]).peak / 2 ** 20).toFixed(0),
  }
}

/** What a sidecar that has too much to do refuses before it reads it comes again. */
async function untilTaken(sender: Sender, payload: Uint8Array): Promise<void> {
  for (;;) {
    try {
      return await sender.send([payload])
    } catch (error) {
      if (!REFUSED.has((error as { code?: unknown }).code)) throw error
      await pause(50)
    }
  }
}

async function series(admin: string, name: string): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`, { headers: { 'accept-encoding': 'identity' } })).text()
  let sum = 0
  for (const line of text.split('\n'))
    if (line.startsWith(name) && /^[{ ]/.test(line.slice(name.length)))
      sum += Number(line.slice(line.lastIndexOf(' ') + 1))
  return sum
}

async function untilHeld(admin: string, most: number): Promise<void> {
  while ((await series(admin, 'intermix_report_buffer_held')) > most) await pause(20)
}

interface FanOutTotals {
  readonly accepted: number
  readonly delivered: number
  readonly repeated?: number
  readonly dropped: Readonly<Record<string, number>>
}

/** Waits until the node's ledger has all that the sidecar took. @throws Error where it never has, or has more */
async function settled(sidecar: string, node: string, records: number) {
  let [before, since] = ['', Date.now()]
  for (;;) {
    const ledger = (await (await fetch(`${node}/debug/ledger`)).json()) as { handlers: Record<string, FanOutTotals> }
    const { accepted = 0, delivered = 0, dropped = {}, repeated = 0 } = ledger.handlers['fan-out'] ?? {}
    const lost = dropped['sidecar-full'] ?? 0
    const taken = await series(sidecar, 'intermix_report_buffer_accepted_total')
    if (accepted > records) throw new Error(`${accepted} of ${records} records are counted`)
    if (accepted === records && taken === records && delivered + lost === records) {
      const told = await series(sidecar, 'intermix_report_buffer_dropped_total')
      if (told !== lost) throw new Error(`${told} records were dropped, and the node knows of ${lost}`)
      return {
        sent: await series(sidecar, 'intermix_report_buffer_sent_total'),
        dropped: lost,
        calls: await series(sidecar, 'intermix_report_buffer_calls_total'),
        repeated,
      }
    }
    const now = `${taken} ${accepted} ${delivered} ${lost}`
    if (now !== before) [before, since] = [now, Date.now()]
    if (Date.now() - since > STUCK_AFTER_MS)
      throw new Error(
        `of ${records} records the sidecar took ${taken}, and the node has ${accepted}: ${delivered}, and ${lost} dropped`,
      )
    await pause(200)
  }
}

/** Calls of 4,000 records: what it takes to make one, to send it and to read it. */
async function encodings(): Promise<void> {
  const batches = 40
  const ways = {
    'access logs': { format: ENVOY_ALS, payloads: Array.from({ length: batches }, (_, i) => accessLog(i, SETS)) },
    'Mixer delta': { format: MIXER_REPORT, payloads: Array.from({ length: batches }, (_, i) => mixerReport(i, SETS)) },
    'JSON records': {
      format: ATTRIBUTES,
      payloads: Array.from({ length: batches }, (_, i) =>
        encodeRecords(MIXER_REPORT.decode(mixerReport(i, SETS), new Map())),
      ),
    },
  }
  const records = batches * RECORDS
  const rows = []
  for (const [name, { format, payloads }] of Object.entries(ways)) {
    const delta = () =>
      encodeMixerReports(payloads.flatMap((payload) => format.decode(payload, new Map()))).map(({ payload }) => payload)
    const sent = { 'as they are': () => payloads, 'read and written as delta': delta }
    for (const [way, make] of Object.entries(sent)) {
      const reader = way === 'as they are' ? format : MIXER_REPORT
      const plain = make()
      const sizes = plain.map(({ length }) => length)
      const joined = Buffer.concat(plain)
      const gzipped = gzipSync(joined, { level: 1 })
      const zstd = zstdCompressSync(joined)
      const read = (bytes: Uint8Array) => {
        let at = 0
        for (const size of sizes) readAll(reader.decode(bytes.subarray(at, (at += size)), new Map()))
      }
      rows.push({
        records: name,
        way,
        bytes: Math.round(joined.length / records),
        'gzip -1': (gzipped.length / records).toFixed(1),
        zstd: (zstd.length / records).toFixed(1),
        'make µs': micros(() => void make(), records),
        'gzip µs': micros(() => void gzipSync(joined, { level: 1 }), records),
        'zstd µs': micros(() => void zstdCompressSync(joined), records),
        'gunzip µs': micros(() => void gunzipSync(gzipped), records),
        'unzstd µs': micros(() => void zstdDecompressSync(zstd), records),
        'read µs': micros(() => read(joined), records),
      })
    }
  }
  const bags = ways['Mixer delta'].payloads.flatMap((payload) => MIXER_REPORT.decode(payload, new Map()).map(copied))
  const written = { delta: () => void encodeMixerReports(bags), JSON: () => void encodeRecords(bags) }
  say(`A call of ${records} records: bytes and processor time a record; read: decoded, and all attributes looked at`)
  printTable(rows)
  const own = Object.entries(written).map(([way, write]) => ({
    'records of a program as': way,
    'write µs': micros(write, records),
  }))
  printTable(own)
  await saveResults('telemetry-encodings', { rows, own })
}

/** As a program has its records, in memory. */
function copied(bag: AttributeBag): AttributeBag {
  return new MapBag(new Map([...bag.names()].map((name) => [name, bag.get(name) ?? ''])))
}

function readAll(bags: readonly AttributeBag[]): void {
  for (const bag of bags) for (const name of bag.names()) bag.get(name)
}

/** The median of rounds, by processor time of this process. */
function micros(work: () => void, records: number): string {
  const times = Array.from({ length: 9 }, () => {
    const { user, system } = process.cpuUsage()
    work()
    const now = process.cpuUsage()
    return now.user - user + now.system - system
  }).sort((a, b) => a - b)
  return ((times[4] ?? 0) / records).toFixed(2)
}
