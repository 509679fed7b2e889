// Senders of reports at three doors, open loop: calls go out at even times whatever became of earlier ones.

import { setTimeout as sleep } from 'node:timers/promises'
import { create, toBinary } from '@bufbuild/protobuf'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import { ReportRequestSchema } from '../../src/wire/generated/istio/mixer/v1/mixer_pb.ts'
import { compressInto, Words } from '../../test/wire/mixer/compress.ts'
import { type Answer, type Books, type Call, type Door, DOORS } from './books.ts'
import { NUMBER } from './config.ts'
import type { Member } from './member.ts'

const PATIENCE_MS = 5_000
const MAX_UNDER_WAY = 64
const BEFORE_NEXT_TRY_MS = 100
const RECORDS_A_CALL = 10
/** Of one access log stream. */
const MESSAGES = 3
const PATHS = {
  mixer: '/istio.mixer.v1.Mixer/Report',
  access_log: '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
}

type Told = readonly [Answer, string]
type Send = (address: string, call: Call) => Promise<Told>

export interface Senders {
  /** No further calls; resolves when all are answered or given up. */
  stop(): Promise<void>
}

export interface SendersOptions {
  /** Milliseconds between two calls at the same door. */
  readonly everyMs: number
  /** How often a call is sent at most until it is acknowledged, each time to the next node; once unless told. */
  readonly tries?: number
}

export function startSenders(books: Books, nodes: readonly Member[], { everyMs, tries = 1 }: SendersOptions): Senders {
  const clients = new Map<string, Client>()
  const clientOf = (address: string) => {
    let client = clients.get(address)
    if (client === undefined) clients.set(address, (client = new Client(address, credentials.createInsecure())))
    return client
  }
  const ways: Readonly<Record<Door, { readonly records: number; readonly send: Send }>> = {
    http: { records: RECORDS_A_CALL, send: sendHttp },
    mixer: { records: RECORDS_A_CALL, send: (address, call) => sendMixer(clientOf(address), call) },
    access_log: { records: RECORDS_A_CALL * MESSAGES, send: (address, call) => sendLogs(clientOf(address), call) },
  }
  const underWay = new Set<Promise<void>>()
  let turn = 0
  const nextOf = (door: Door): readonly [name: string, address: string] | undefined => {
    const node = nodes[turn++ % nodes.length]
    const addresses = node?.addresses
    return node === undefined || addresses === undefined
      ? undefined
      : [node.name, door === 'http' ? addresses.http : addresses.grpc]
  }
  const deliver = async (call: Call, address: string): Promise<void> => {
    const [answer, why] = await ways[call.door].send(address, call)
    Object.assign(call, { answer, why })
    if (answer === 'acknowledged' || call.tries >= tries) return
    await sleep(BEFORE_NEXT_TRY_MS)
    call.tries++
    const [name, other] = nextOf(call.door) ?? [call.node, address]
    call.node = name
    await deliver(call, other)
  }
  const timers = DOORS.map((door) =>
    setInterval(() => {
      const next = nextOf(door)
      if (next === undefined || underWay.size >= MAX_UNDER_WAY) return
      const call = books.open(door, next[0], ways[door].records)
      const ending = deliver(call, next[1]).then(() => void underWay.delete(ending))
      underWay.add(ending)
    }, everyMs),
  )
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer)
      await Promise.all(underWay)
      for (const client of clients.values()) client.close()
    },
  }
}

function numbers({ first, count }: Pick<Call, 'first' | 'count'>): string[] {
  return Array.from({ length: count }, (_, at) => String(first + at))
}

async function sendHttp(address: string, call: Call): Promise<Told> {
  const body = JSON.stringify({ records: numbers(call).map((number) => ({ [NUMBER]: number })) })
  try {
    const headers = { 'content-type': 'application/json' }
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const answer = await fetch(`http://${address}/v1/report`, { method: 'POST', headers, body, signal })
    const text = await answer.text()
    return answer.status === 202 ? ['acknowledged', ''] : ['refused', `${answer.status} ${text.slice(0, 200)}`]
  } catch (error) {
    return ['unknown', error instanceof Error ? error.message : String(error)]
  }
}

function sendMixer(client: Client, call: Call): Promise<Told> {
  const words = new Words()
  const attributes = numbers(call).map((number) => compressInto(words, { [NUMBER]: number }))
  const message = create(ReportRequestSchema, { attributes, defaultWords: words.list, globalWordCount: 222 })
  const bytes = Buffer.from(toBinary(ReportRequestSchema, message))
  return new Promise((resolve) => {
    const deadline = Date.now() + PATIENCE_MS
    client.makeUnaryRequest(PATHS.mixer, asIs, asIs, bytes, { deadline }, (error) => resolve(told(error)))
  })
}

/** A stream of its own, whose end the node answers: before that, nobody says what was taken. */
function sendLogs(client: Client, call: Call): Promise<Told> {
  return new Promise((resolve) => {
    const deadline = Date.now() + PATIENCE_MS
    const stream = client.makeClientStreamRequest<Buffer, Buffer>(PATHS.access_log, asIs, asIs, { deadline }, (error) =>
      resolve(told(error)),
    )
    stream.on('error', () => undefined)
    for (let at = 0; at < MESSAGES; at++) {
      const part = { first: call.first + at * RECORDS_A_CALL, count: RECORDS_A_CALL }
      const logEntry = numbers(part).map((requestId) => ({ request: { requestId } }))
      const message = create(StreamAccessLogsMessageSchema, {
        identifier: { node: { id: 'chaos' }, logName: 'chaos' },
        logEntries: { case: 'httpLogs', value: { logEntry } },
      })
      stream.write(Buffer.from(toBinary(StreamAccessLogsMessageSchema, message)))
    }
    stream.end()
  })
}

function asIs(bytes: Buffer): Buffer {
  return bytes
}

/** A failure of the transport says nothing of what the node has taken, and comes under the same codes as its refusals. */
function told(error: ServiceError | null): Told {
  return error === null ? ['acknowledged', ''] : ['unknown', `${error.code} ${error.details.slice(0, 200)}`]
}
