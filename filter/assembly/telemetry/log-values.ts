// What Envoy knows of a request that is over, beside its headers. Envoy evaluates one expression (CEL) in less time than it takes to be
// asked for each value. Where it evaluates none, or one of the values is not there against all expectation, each is asked for by itself.

import { Bytes, bytesOf, EMPTY } from '../bytes/bytes'
import { callForeignFunction, Status } from '../host/abi'
import { readAt, valueAt, valueSize } from '../request/properties'
import { REPORTS_READ_SINGLY } from '../shared/counters'

/** Integers, times and durations are eight bytes. */
export const enum Value {
  DURATION = 0,
  TIME = 1,
  REQUEST_TOTAL = 2,
  FLAGS = 3,
  SIZE = 4,
  TOTAL = 5,
  SOURCE = 6,
  DESTINATION = 7,
  CODE = 8,
  /** Where a host was chosen. */
  UPSTREAM = 9,
  CLUSTER = 10,
  /** Of a connection by TLS: the names that certificates have, their first URI, else their first DNS name, else their subject. */
  PEER = 11,
  LOCAL = 12,
  SERVER_NAME = 13,
  COUNT = 14,
}

/** So many values are always there, and so many belong to the choice of a host, and to TLS. */
const ALWAYS: i32 = Value.UPSTREAM
const OF_HOST: i32 = Value.PEER - Value.UPSTREAM
const OF_TLS: i32 = Value.COUNT - Value.PEER

const PATHS: StaticArray<Bytes> = [
  pathOf('request.duration'),
  pathOf('request.time'),
  pathOf('request.total_size'),
  pathOf('response.flags'),
  pathOf('response.size'),
  pathOf('response.total_size'),
  pathOf('source.address'),
  pathOf('destination.address'),
  pathOf('response.code'),
  pathOf('upstream.address'),
  pathOf('xds.cluster_name'),
  EMPTY,
  EMPTY,
  pathOf('connection.requested_server_name'),
]
const PEER = certificate('peer')
const LOCAL = certificate('local')
const TLS = pathOf('connection.tls_version')
/** Where Envoys before 1.26 have it. */
const OLD_CLUSTER = pathOf('cluster_name')

/** As a property's path: parts are apart by a NUL. */
function pathOf(name: string): Bytes {
  return bytesOf(name.replaceAll('.', '\0'))
}

function certificate(side: string): StaticArray<Bytes> {
  return [
    pathOf('connection.uri_san_' + side + '_certificate'),
    pathOf('connection.dns_san_' + side + '_certificate'),
    pathOf('connection.subject_' + side + '_certificate'),
  ]
}

/** In the order of `Value`. One list for each case: to put lists together takes Envoy longer. */
const EXPRESSION = bytesOf(
  'has(connection.tls_version) ? ' +
    lists(', ' + identity('peer') + ', ' + identity('local') + ', connection.requested_server_name]') +
    ' : ' +
    lists(']'),
)

function lists(end: string): string {
  const always =
    '[request.duration, request.time, request.total_size, response.flags, response.size, response.total_size, ' +
    'source.address, destination.address, response.code'
  return (
    '(has(upstream.address) ? ' + always + ', upstream.address, xds.cluster_name' + end + ' : ' + always + end + ')'
  )
}

function identity(side: string): string {
  const ofSide = '_' + side + '_certificate'
  return first(
    'connection.uri_san' + ofSide,
    first('connection.dns_san' + ofSide, first('connection.subject' + ofSide, "''")),
  )
}

function first(name: string, otherwise: string): string {
  return '(has(' + name + ') && ' + name + " != '' ? " + name + ' : ' + otherwise + ')'
}

const CREATE = bytesOf('expr_create')
const EVALUATE = bytesOf('expr_evaluate')
const cell = memory.data(8, 8)
/** What the host is told: which expression. */
const argument = memory.data(4, 4)

export class LogValues {
  private isReady: bool = false
  private canEvaluate: bool = false
  /** Whether the values of this request were evaluated. */
  private isEvaluated: bool = false
  private token: i32 = 0
  /** Whether the connection is by TLS. */
  hasTls: bool = false
  private readonly places: StaticArray<usize> = new StaticArray<usize>(Value.COUNT)
  private readonly sizes: StaticArray<i32> = new StaticArray<i32>(Value.COUNT)
  /** Of the value that was found last. */
  at: usize = 0
  size: i32 = 0

  /** Takes the request of the callback. */
  begin(): void {
    if (!this.isReady) this.create()
    this.isEvaluated = this.canEvaluate && this.evaluate()
    if (this.isEvaluated) return
    this.hasTls = readAt(TLS)
    REPORTS_READ_SINGLY.add()
  }

  private create(): void {
    this.isReady = true
    const status = callForeignFunction(
      CREATE.dataStart,
      CREATE.length,
      EXPRESSION.dataStart,
      EXPRESSION.length,
      cell,
      cell + 4,
    )
    this.canEvaluate = status === Status.OK && load<i32>(cell + 4) === 4
    if (this.canEvaluate) this.token = load<i32>(load<usize>(cell))
  }

  private evaluate(): bool {
    store<i32>(argument, this.token)
    if (callForeignFunction(EVALUATE.dataStart, EVALUATE.length, argument, 4, cell, cell + 4) !== Status.OK)
      return false
    const list = load<usize>(cell)
    const size = load<i32>(cell + 4)
    const count = size < 4 ? 0 : load<i32>(list)
    this.hasTls = count === ALWAYS + OF_TLS || count === Value.COUNT
    const hasHost = count === ALWAYS + OF_HOST || count === Value.COUNT
    if (!this.hasTls && !hasHost && count !== ALWAYS) return false
    memory.fill(changetype<usize>(this.sizes), 0, (<usize>Value.COUNT) << 2)
    // Of each two sizes, its own and that of nothing; then the values, each with two NULs behind it.
    let at = list + 4 + 8 * <usize>count
    for (let i = 0; i < count; i++) {
      const value = i < ALWAYS || hasHost ? i : i + OF_HOST
      const valueSize = load<i32>(list + 4 + 8 * <usize>i)
      unchecked((this.places[value] = at))
      unchecked((this.sizes[value] = valueSize))
      at += <usize>valueSize + 2
    }
    return at === list + <usize>size
  }

  /** Looks for a value. @returns whether it is there and not empty; then it lies at `at` */
  find(value: i32): bool {
    if (this.isEvaluated) {
      this.size = unchecked(this.sizes[value])
      this.at = unchecked(this.places[value])
      return this.size > 0
    }
    if (!readSingly(value)) return false
    this.at = valueAt
    this.size = valueSize
    return true
  }
}

function readSingly(value: i32): bool {
  if (value === Value.PEER) return readFirst(PEER)
  if (value === Value.LOCAL) return readFirst(LOCAL)
  return readAt(PATHS[value]) || (value === Value.CLUSTER && readAt(OLD_CLUSTER))
}

function readFirst(paths: StaticArray<Bytes>): bool {
  for (let i = 0; i < paths.length; i++) if (readAt(paths[i])) return true
  return false
}
