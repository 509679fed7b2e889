// Reads what Envoy knows of a request that is over. Values are as the door of access logs has them of Envoy's own entries.

import { Bytes, bytesOf, copyOf, decimalOf, EMPTY, indexOfByte, isBytes } from '../bytes/bytes'
import { HeaderMap } from '../host/abi'
import { take } from '../host/scratch'
import { ACCOUNT, isGrpcType, NAMESPACE, partOf, principalOf, textAt, textSize } from '../request/attributes'
import { Headers, joinedAt } from '../request/headers'
import { readAt, valueAt, valueSize } from '../request/properties'
import { ipAt, ipSize, portAt, portSize, readSocketText } from '../request/socket-text'
import { address, readAddress } from './address'
import { INBOUND, readCluster } from './cluster-name'
import { LogValues, Value } from './log-values'
import { readQuery } from './query'
import { Record } from './record'
import { Is } from './report-attributes'
import { flagsAt, flagsSize, readFlags } from './response-flags'
import { StringMap } from './string-map'
import { AUTHORITY, CONTENT_TYPE, METHOD, PATH, REFERER, REQUEST_ID, SCHEME, USER_AGENT } from '../request/header-names'

const GRPC_STATUS_PROPERTY = bytesOf('response\0grpc_status')
const NODE = bytesOf('xds\0node\0id')
/** Where Envoys before 1.26 have it. */
const OLD_NODE = bytesOf('node\0id')

const GRPC_STATUS = bytesOf('grpc-status')
const GRPC_MESSAGE = bytesOf('grpc-message')
const HTTP = bytesOf('http')
const GRPC = bytesOf('grpc')
const CLOSE = bytesOf('close')

const QUESTION: u8 = 0x3f
const HASH: u8 = 0x23
const NO_NUMBER: i64 = i64.MIN_VALUE

export class RecordReader {
  private readonly headers: Headers = new Headers()
  private readonly answered: Headers = new Headers()
  private readonly trailers: Headers = new Headers()
  /** The id of this Envoy. */
  private reporter: Bytes = EMPTY
  private knowsReporter: bool = false
  private readonly values: LogValues = new LogValues()

  /** @param requestHeaders names of those whose values records have */
  constructor(
    private readonly requestHeaders: Array<Bytes>,
    private readonly responseHeaders: Array<Bytes>,
  ) {}

  /** Reads the request of the callback. @returns whether it is over: Envoy may write entries before */
  read(record: Record): bool {
    record.clear()
    this.values.begin()
    const duration = this.number(Value.DURATION)
    if (duration === NO_NUMBER) return false
    if (!this.knowsReporter) this.readReporter()
    const time = this.number(Value.TIME)
    record.number(Is.RESPONSE_DURATION, duration)
    if (time !== NO_NUMBER) {
      record.number(Is.TIME, time)
      record.number(Is.REQUEST_TIME, time)
      record.number(Is.RESPONSE_TIME, time + duration)
    }
    record.bytes(Is.EVENT, CLOSE)
    const isGrpc = this.readRequest(record)
    this.readResponse(record, isGrpc)
    this.readConnection(record)
    if (this.reporter.length > 0) record.bytes(Is.REPORTER_UID, this.reporter)
    return true
  }

  private readReporter(): void {
    this.knowsReporter = true
    if (readAt(NODE) || readAt(OLD_NODE)) this.reporter = copyOf(valueAt, valueSize)
  }

  /** @returns whether it is gRPC */
  private readRequest(record: Record): bool {
    const headers = this.headers
    headers.load()
    this.readHeader(record, Is.METHOD, METHOD)
    this.readHeader(record, Is.HOST, AUTHORITY)
    this.readHeader(record, Is.SCHEME, SCHEME)
    this.readHeader(record, Is.USER_AGENT, USER_AGENT)
    this.readHeader(record, Is.REFERER, REFERER)
    this.readHeader(record, Is.REQUEST_ID, REQUEST_ID)
    if (record.has(Is.REQUEST_ID))
      record.text(Is.CONNECTION_ID, record.places[Is.REQUEST_ID], record.sizes[Is.REQUEST_ID])
    this.readHeader(record, Is.PATH, PATH)
    if (record.has(Is.PATH)) readPath(record, record.places[Is.PATH], record.sizes[Is.PATH])
    fill(record.requestHeaders, this.requestHeaders, headers)
    record.filled(Is.REQUEST_HEADERS)
    const total = this.number(Value.REQUEST_TOTAL)
    if (total !== NO_NUMBER) {
      record.number(Is.REQUEST_TOTAL_SIZE, total)
      record.number(Is.REQUEST_SIZE, max(0, total - headers.size))
    }
    const type = headers.find(CONTENT_TYPE)
    const isGrpc = type >= 0 && isGrpcType(headers.valueAt(type), headers.valueSize(type))
    record.bytes(Is.PROTOCOL, isGrpc ? GRPC : HTTP)
    return isGrpc
  }

  private readHeader(record: Record, attribute: i32, name: Bytes): void {
    const line = this.headers.find(name)
    if (line >= 0 && this.headers.valueSize(line) > 0)
      record.text(attribute, this.headers.valueAt(line), this.headers.valueSize(line))
  }

  private readResponse(record: Record, isGrpc: bool): void {
    const code = this.number(Value.CODE)
    if (code !== NO_NUMBER) record.number(Is.RESPONSE_CODE, code)
    const flags = this.number(Value.FLAGS)
    readFlags(flags === NO_NUMBER ? 0 : <u64>flags)
    record.text(Is.PROXY_ERROR_CODE, flagsAt, flagsSize)
    const size = this.number(Value.SIZE)
    if (size !== NO_NUMBER) record.number(Is.RESPONSE_SIZE, size)
    const total = this.number(Value.TOTAL)
    if (total !== NO_NUMBER) record.number(Is.RESPONSE_TOTAL_SIZE, total)
    record.filled(Is.RESPONSE_HEADERS)
    if (this.responseHeaders.length > 0) this.readResponseHeaders(record)
    if (!isGrpc || record.has(Is.GRPC_STATUS)) return
    const status = numberAt(GRPC_STATUS_PROPERTY)
    if (status !== NO_NUMBER) record.bytes(Is.GRPC_STATUS, bytesOf(status.toString()))
  }

  /** Headers and trailers in one map; of one name the trailer counts. */
  private readResponseHeaders(record: Record): void {
    const map = record.responseHeaders
    if (this.trailers.load(HeaderMap.RESPONSE_TRAILERS)) fill(map, this.responseHeaders, this.trailers)
    if (this.answered.load(HeaderMap.RESPONSE)) fill(map, this.responseHeaders, this.answered)
    const status = map.find(GRPC_STATUS.dataStart, GRPC_STATUS.length)
    if (status >= 0) record.text(Is.GRPC_STATUS, map.values[status], map.valueSizes[status])
    const message = map.find(GRPC_MESSAGE.dataStart, GRPC_MESSAGE.length)
    if (message >= 0) record.text(Is.GRPC_MESSAGE, map.values[message], map.valueSizes[message])
  }

  private readConnection(record: Record): void {
    const values = this.values
    this.readSocket(record, Value.SOURCE, Is.SOURCE_IP, Is.SOURCE_PORT)
    if (record.has(Is.SOURCE_IP)) record.text(Is.ORIGIN_IP, record.places[Is.SOURCE_IP], record.sizes[Is.SOURCE_IP])
    record.bytes(Is.REPORTER_KIND, INBOUND)
    // Envoy's own entries name the cluster only where one of its hosts was chosen.
    if (this.readSocket(record, Value.UPSTREAM, Is.DESTINATION_IP, Is.DESTINATION_PORT) && values.find(Value.CLUSTER))
      readCluster(record, values.at, values.size)
    if (!record.has(Is.DESTINATION_IP))
      this.readSocket(record, Value.DESTINATION, Is.DESTINATION_IP, Is.DESTINATION_PORT)
    let hasPeer = false
    if (values.hasTls) {
      hasPeer = values.find(Value.PEER)
      if (hasPeer) identify(record, values.at, values.size, Is.SOURCE_PRINCIPAL, Is.SOURCE_NAMESPACE, Is.SOURCE_ACCOUNT)
      if (values.find(Value.LOCAL))
        identify(
          record,
          values.at,
          values.size,
          Is.DESTINATION_PRINCIPAL,
          Is.DESTINATION_NAMESPACE,
          Is.DESTINATION_ACCOUNT,
        )
      if (values.find(Value.SERVER_NAME)) record.text(Is.SERVER_NAME, values.at, values.size)
    }
    record.number(Is.MTLS, hasPeer ? 1 : 0)
  }

  /** An integer, or nanoseconds. */
  private number(value: i32): i64 {
    return this.values.find(value) && this.values.size === 8 ? load<i64>(this.values.at) : NO_NUMBER
  }

  /** Reads an address with its port. @returns whether Envoy has one */
  private readSocket(record: Record, value: i32, ip: i32, port: i32): bool {
    const values = this.values
    if (!values.find(value)) return false
    if (!readSocketText(values.at, values.size)) return true
    const number = decimalOf(portAt, portSize)
    if (number > 0) record.number(port, number)
    const bytes = readAddress(ipAt, ipSize)
    if (bytes === 0) return true
    const own = take(bytes)
    memory.copy(own, address, bytes)
    record.text(ip, own, bytes)
    return true
  }
}

/** An integer, or nanoseconds. */
function numberAt(path: Bytes): i64 {
  return readAt(path) && valueSize === 8 ? load<i64>(valueAt) : NO_NUMBER
}

function identify(record: Record, at: usize, size: i32, principal: i32, namespace: i32, account: i32): void {
  if (principalOf(at, size)) record.text(principal, textAt, textSize)
  if (partOf(at, size, NAMESPACE)) record.text(namespace, textAt, textSize)
  if (partOf(at, size, ACCOUNT)) record.text(account, textAt, textSize)
}

function readPath(record: Record, at: usize, size: i32): void {
  const mark = indexOfByte(at, size, QUESTION)
  const hash = indexOfByte(at, size, HASH)
  let pathSize = mark < 0 ? size : mark
  if (hash >= 0 && hash < pathSize) pathSize = hash
  if (pathSize > 0) record.text(Is.URL_PATH, at, pathSize)
  if (mark < 0) return
  const query = at + <usize>(mark + 1)
  const left = size - mark - 1
  const end = indexOfByte(query, left, HASH)
  const querySize = end < 0 ? left : end
  if (querySize === 0) return
  readQuery(query, querySize, record.query)
  record.filled(Is.QUERY_PARAMS)
}

/** Adds the headers of these names that a map does not have yet; lines of one name are joined by commas. */
function fill(map: StringMap, names: Array<Bytes>, headers: Headers): void {
  for (let i = 0; i < names.length; i++) {
    const name = names[i]
    const line = headers.find(name)
    if (line < 0 || map.find(name.dataStart, name.length) >= 0) continue
    const size = headers.joined(line, name, false)
    map.add(name.dataStart, name.length, joinedAt, size)
  }
}
