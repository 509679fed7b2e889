// Drives one server as a process of its own: `node load/overload/drive.ts PROTOCOL HOST:PORT RATE SECONDS TIMEOUT_MS`.
// Open loop: calls go out when the schedule says so, and callers go when their time is up. RATE 0 keeps a fixed number of
// calls under way instead, which shows what the server can do. Prints one line of JSON.

import { setTimeout as sleep } from 'node:timers/promises'
import { create, toBinary } from '@bufbuild/protobuf'
import { CheckRequestSchema } from '../../src/wire/generated/envoy/service/auth/v3/external_auth_pb.ts'
import { pathOf } from '../oracle.ts'
import { seededRandom } from '../random.ts'
import { arrivals } from '../schedule.ts'
import { quantiles } from '../statistics.ts'
import { serviceOf } from '../targets.ts'
import { connectGrpc } from './grpc-frames.ts'
import { connectHttp } from './http-connection.ts'
import type { Connection, Ended } from './target.ts'

const KEYS = 100
const GRPC_CONNECTIONS = 8
const HTTP_CONNECTIONS = 1_000
const IN_FLIGHT = 64
/** The first part of a run, which is not counted: the server must notice that it is too much. */
const SETTLE_MS = 1_000

const [protocol = 'grpc', address = '', rate = '0', seconds = '5', timeout = '200'] = process.argv.slice(2)
const [host = '127.0.0.1', port = '0'] = address.split(':')
const perSecond = Number(rate)
const durationMs = SETTLE_MS + Number(seconds) * 1_000
const timeoutMs = Number(timeout)
const schedule = perSecond === 0 ? new Float64Array(2_000_000) : arrivals(perSecond, durationMs, seededRandom(1))

const sentAt = new Float64Array(schedule.length)
const connectionOf = new Map<number, Connection>()
const counts: Record<Ended | 'gone' | 'unsent', number> = {
  answered: 0,
  shed: 0,
  expired: 0,
  failed: 0,
  gone: 0,
  unsent: 0,
}
const answeredMs: number[] = []
const shedMs: number[] = []
const lateMs: number[] = []
let first = 0
let inFlight = 0
const startAt = performance.now() + 100
const now = () => performance.now() - startAt
const counted = (call: number) => (sentAt[call] ?? 0) >= SETTLE_MS

function ended(call: number, how: Ended): void {
  connectionOf.delete(call)
  inFlight--
  if (!counted(call)) return
  const tookMs = now() - (sentAt[call] ?? 0)
  counts[how]++
  if (how === 'answered') answeredMs.push(tookMs)
  if (how === 'shed') shedMs.push(tookMs)
}

const connections = Array.from({ length: protocol === 'grpc' ? GRPC_CONNECTIONS : HTTP_CONNECTIONS }, () => open())

function open(): Connection {
  const given = { host, port: Number(port), timeoutMs, onEnd: ended }
  return protocol === 'grpc'
    ? connectGrpc({ ...given, messages: Array.from({ length: KEYS }, (_, key) => checkRequest(key)) })
    : connectHttp({ ...given, path: '/v1/check', bodies: Array.from({ length: KEYS }, (_, key) => checkBody(key)) })
}

function checkRequest(key: number): Buffer {
  const http = { method: 'GET', path: pathOf(key), host: 'example.test', scheme: 'http' }
  const attributes = { destination: { service: serviceOf(key, 1) }, request: { http } }
  return Buffer.from(toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes })))
}

function checkBody(key: number): string {
  return JSON.stringify({
    attributes: { 'request.path': pathOf(key), 'destination.service.name': serviceOf(key, 1) },
    timeoutMs,
  })
}

let turn = 0
function send(call: number): boolean {
  for (let tried = 0; tried < connections.length; tried++) {
    const index = turn++ % connections.length
    let connection = connections[index]
    if (connection?.closed() === true) {
      connection = open()
      connections[index] = connection
    }
    if (connection === undefined || !connection.free()) continue
    connection.send(call, call % KEYS)
    connectionOf.set(call, connection)
    inFlight++
    return true
  }
  return false
}

/** Whose time is up has gone: the call is taken back and counts as unanswered. */
function leave(): void {
  for (; first < next && (sentAt[first] ?? 0) + timeoutMs < now(); first++) {
    const connection = connectionOf.get(first)
    if (connection === undefined) continue
    connectionOf.delete(first)
    connection.cancel(first)
    inFlight--
    if (counted(first)) counts.gone++
  }
}

let next = 0
while (now() < 0) await sleep(1)
while (now() < durationMs) {
  leave()
  if (perSecond === 0) {
    for (; inFlight < IN_FLIGHT && next < schedule.length; next++) {
      sentAt[next] = now()
      if (!send(next)) break
    }
  } else {
    for (; next < schedule.length && (schedule[next] ?? 0) <= now(); next++) {
      sentAt[next] = schedule[next] ?? 0
      if (counted(next)) lateMs.push(now() - (schedule[next] ?? 0))
      if (!send(next) && counted(next)) counts.unsent++
    }
  }
  for (const connection of connections) connection.flush()
  await new Promise((resolve) => setImmediate(resolve))
}
const p = (values: number[], q: number) => quantiles(Float64Array.from(values), q)[0]
process.stdout.write(
  `${JSON.stringify({
    ...counts,
    perSecond: counts.answered / Number(seconds),
    answeredP50: p(answeredMs, 0.5),
    answeredP99: p(answeredMs, 0.99),
    shedP50: p(shedMs, 0.5),
    shedP99: p(shedMs, 0.99),
    lateP99: p(lateMs, 0.99),
  })}\n`,
)
process.exit(0)
