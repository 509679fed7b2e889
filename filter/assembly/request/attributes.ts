// The attributes that a node derives from a request of Envoy, and how each is read here. A value that is read here need not be spelled
// as the node spells it, but two requests with one value here must have one value there.

import { bytesOf, Bytes, decimalOf, indexOfByte, isEqual, startsWith } from '../bytes/bytes'
import { Property } from './properties'
import { joinedAt } from './headers'
import { Request } from './request'
import { ipAt, ipSize, portAt, portSize, readSocketText } from './socket-text'
import { CONTENT_LENGTH, CONTENT_TYPE, REFERER, SCHEME, USER_AGENT } from './header-names'

export const enum Kind {
  TEXT = 0,
  INTEGER = 1,
  BOOLEAN = 2,
  /** Its text is Envoy's, and no test knows it. */
  ADDRESS = 3,
  MAP = 4,
}

export const enum Attribute {
  /** What no request decides: it is absent, or the operator has set it. */
  FIXED = 0,
  /** What is not read here: nothing that depended on it is given again. */
  UNREAD = 1,
  SOURCE_IP = 2,
  SOURCE_PORT = 3,
  SOURCE_PRINCIPAL = 4,
  SOURCE_NAMESPACE = 5,
  SOURCE_ACCOUNT = 6,
  DESTINATION_IP = 7,
  DESTINATION_PORT = 8,
  DESTINATION_PRINCIPAL = 9,
  DESTINATION_NAMESPACE = 10,
  DESTINATION_ACCOUNT = 11,
  MTLS = 12,
  SERVER_NAME = 13,
  PROTOCOL = 14,
  HEADERS = 15,
  METHOD = 16,
  PATH = 17,
  URL_PATH = 18,
  QUERY = 19,
  HOST = 20,
  SCHEME = 21,
  SIZE = 22,
  USER_AGENT = 23,
  REFERER = 24,
  RAW_PATH = 25,
  RAW_HOST = 26,
}

/** All that nodes derive (`wire/envoy-attributes.ts`), and what normal forms add; what is not here is absent there. */
const NAMES: StaticArray<Bytes> = [
  bytesOf('source.ip'),
  bytesOf('origin.ip'),
  bytesOf('source.port'),
  bytesOf('source.principal'),
  bytesOf('source.namespace'),
  bytesOf('source.serviceAccount'),
  bytesOf('destination.ip'),
  bytesOf('destination.port'),
  bytesOf('destination.principal'),
  bytesOf('destination.namespace'),
  bytesOf('destination.serviceAccount'),
  bytesOf('connection.mtls'),
  bytesOf('connection.requested_server_name'),
  bytesOf('context.protocol'),
  bytesOf('context.time'),
  bytesOf('request.headers'),
  bytesOf('request.method'),
  bytesOf('request.path'),
  bytesOf('request.url_path'),
  bytesOf('request.query_params'),
  bytesOf('request.host'),
  bytesOf('request.scheme'),
  bytesOf('request.size'),
  bytesOf('request.id'),
  bytesOf('request.time'),
  bytesOf('request.useragent'),
  bytesOf('request.referer'),
  bytesOf('request.raw_path'),
  bytesOf('request.raw_host'),
]

const ATTRIBUTES: StaticArray<i32> = [
  Attribute.SOURCE_IP,
  Attribute.SOURCE_IP,
  Attribute.SOURCE_PORT,
  Attribute.SOURCE_PRINCIPAL,
  Attribute.SOURCE_NAMESPACE,
  Attribute.SOURCE_ACCOUNT,
  Attribute.DESTINATION_IP,
  Attribute.DESTINATION_PORT,
  Attribute.DESTINATION_PRINCIPAL,
  Attribute.DESTINATION_NAMESPACE,
  Attribute.DESTINATION_ACCOUNT,
  Attribute.MTLS,
  Attribute.SERVER_NAME,
  Attribute.PROTOCOL,
  Attribute.UNREAD,
  Attribute.HEADERS,
  Attribute.METHOD,
  Attribute.PATH,
  Attribute.URL_PATH,
  Attribute.QUERY,
  Attribute.HOST,
  Attribute.SCHEME,
  Attribute.SIZE,
  Attribute.UNREAD,
  Attribute.UNREAD,
  Attribute.USER_AGENT,
  Attribute.REFERER,
  Attribute.RAW_PATH,
  Attribute.RAW_HOST,
]

/** Attributes that follow from others of the request, in a way that setting them does not change: they cannot be set. */
const NOT_SETTABLE = bytesOf('request.')

export function attributeOf(name: Bytes): i32 {
  for (let i = 0; i < NAMES.length; i++) if (isEqual(NAMES[i], name.dataStart, name.length)) return ATTRIBUTES[i]
  return Attribute.FIXED
}

/** Whether an operator can set an attribute in the filter's settings. */
export function isSettable(name: Bytes): bool {
  return !startsWith(name.dataStart, name.length, NOT_SETTABLE)
}

export function kindOf(attribute: i32): i32 {
  switch (attribute) {
    case Attribute.SOURCE_IP:
    case Attribute.DESTINATION_IP:
      return Kind.ADDRESS
    case Attribute.SOURCE_PORT:
    case Attribute.DESTINATION_PORT:
    case Attribute.SIZE:
      return Kind.INTEGER
    case Attribute.MTLS:
      return Kind.BOOLEAN
    case Attribute.HEADERS:
    case Attribute.QUERY:
      return Kind.MAP
    default:
      return Kind.TEXT
  }
}

/** Where the value lies that was read last, as text. */
export let textAt: usize = 0
export let textSize: i32 = 0

const TRUE = bytesOf('true')
const FALSE = bytesOf('false')
const HTTP = bytesOf('http')
const GRPC = bytesOf('grpc')
const GRPC_TYPE = bytesOf('application/grpc')
const GRPC_PROTO = bytesOf('application/grpc+proto')
const GRPC_JSON = bytesOf('application/grpc+json')
const SPIFFE = bytesOf('spiffe://')
export const NAMESPACE = bytesOf('/ns/')
export const ACCOUNT = bytesOf('/sa/')

/** Reads an attribute that is no map. @returns whether the request has it */
export function readAttribute(attribute: i32, request: Request): bool {
  switch (attribute) {
    case Attribute.SOURCE_IP:
      return readIp(request, request.source)
    case Attribute.SOURCE_PORT:
      return readPort(request, request.source)
    case Attribute.DESTINATION_IP:
      return readIp(request, Property.DESTINATION_ADDRESS)
    case Attribute.DESTINATION_PORT:
      return readPort(request, Property.DESTINATION_ADDRESS)
    case Attribute.SOURCE_PRINCIPAL:
      return readPrincipal(request, Property.URI_SAN_PEER)
    case Attribute.SOURCE_NAMESPACE:
      return readPart(request, Property.URI_SAN_PEER, NAMESPACE)
    case Attribute.SOURCE_ACCOUNT:
      return readPart(request, Property.URI_SAN_PEER, ACCOUNT)
    case Attribute.DESTINATION_PRINCIPAL:
      return readPrincipal(request, Property.URI_SAN_LOCAL)
    case Attribute.DESTINATION_NAMESPACE:
      return readPart(request, Property.URI_SAN_LOCAL, NAMESPACE)
    case Attribute.DESTINATION_ACCOUNT:
      return readPart(request, Property.URI_SAN_LOCAL, ACCOUNT)
    case Attribute.MTLS:
      return isText(readIdentity(request, Property.URI_SAN_PEER) ? TRUE : FALSE)
    case Attribute.SERVER_NAME:
      return isProperty(request, Property.SERVER_NAME)
    case Attribute.PROTOCOL:
      return isText(isGrpc(request) ? GRPC : HTTP)
    case Attribute.METHOD:
      return isPlace(request.method, request.methodSize)
    case Attribute.PATH:
    case Attribute.RAW_PATH:
      return isPlace(request.path, request.pathSize)
    case Attribute.URL_PATH:
      return isPlace(request.path, request.urlPathSize)
    case Attribute.HOST:
    case Attribute.RAW_HOST:
      return isPlace(request.host, request.hostSize)
    case Attribute.SCHEME:
      return isHeader(request, SCHEME) && textSize > 0 ? true : isText(HTTP)
    case Attribute.SIZE:
      return isHeader(request, CONTENT_LENGTH) && decimalOf(textAt, textSize) >= 0
    case Attribute.USER_AGENT:
      return isHeader(request, USER_AGENT)
    case Attribute.REFERER:
      return isHeader(request, REFERER)
    default:
      return false
  }
}

/** The query of the path, as it came; it stands for the parameters. */
export function readQuery(request: Request): bool {
  const size = request.pathSize - request.urlPathSize - 1
  if (size <= 0) return false
  return isPlace(request.path + <usize>(request.urlPathSize + 1), size)
}

export function readHeader(request: Request, name: Bytes): bool {
  return isHeader(request, name)
}

function readSocket(request: Request, property: i32): bool {
  return (
    request.hasProperty(property) && readSocketText(request.propertyPlace(property), request.propertySize(property))
  )
}

function readIp(request: Request, property: i32): bool {
  return readSocket(request, property) && isPlace(ipAt, ipSize)
}

function readPort(request: Request, property: i32): bool {
  return readSocket(request, property) && isPlace(portAt, portSize) && decimalOf(textAt, textSize) > 0
}

/**
 * The name that a certificate has: its first URI, else its first DNS name, else its subject, as Envoy tells it to
 * authorization services.
 */
export function readIdentity(request: Request, uri: i32): bool {
  return isProperty(request, uri) || isProperty(request, uri + 1) || isProperty(request, uri + 2)
}

function readPrincipal(request: Request, uri: i32): bool {
  return readIdentity(request, uri) && principalOf(textAt, textSize)
}

function readPart(request: Request, uri: i32, marker: Bytes): bool {
  return readIdentity(request, uri) && partOf(textAt, textSize, marker)
}

/** Reads the principal that an identity says. */
export function principalOf(at: usize, size: i32): bool {
  if (!startsWith(at, size, SPIFFE)) return isPlace(at, size)
  return isPlace(at + <usize>SPIFFE.length, size - SPIFFE.length)
}

/** Reads what a SPIFFE identity has behind `/ns/` or `/sa/`. */
export function partOf(at: usize, size: i32, marker: Bytes): bool {
  if (!startsWith(at, size, SPIFFE)) return false
  const markerSize = marker.length
  for (let i = 0; i + markerSize <= size; i++) {
    if (memory.compare(at + <usize>i, marker.dataStart, markerSize) !== 0) continue
    isPlace(at + <usize>(i + markerSize), size - i - markerSize)
    const end = indexOfByte(textAt, textSize, 0x2f)
    if (end >= 0) textSize = end
    return textSize > 0
  }
  return false
}

function isGrpc(request: Request): bool {
  return isHeader(request, CONTENT_TYPE) && isGrpcType(textAt, textSize)
}

/** Whether content of a type is gRPC. */
export function isGrpcType(at: usize, size: i32): bool {
  return isEqual(GRPC_TYPE, at, size) || isEqual(GRPC_PROTO, at, size) || isEqual(GRPC_JSON, at, size)
}

function isHeader(request: Request, name: Bytes): bool {
  const size = request.header(name)
  textAt = joinedAt
  textSize = size
  return size >= 0
}

function isProperty(request: Request, property: i32): bool {
  return request.hasProperty(property) && isPlace(request.propertyPlace(property), request.propertySize(property))
}

function isText(text: Bytes): bool {
  return isPlace(text.dataStart, text.length)
}

function isPlace(at: usize, size: i32): bool {
  textAt = at
  textSize = size
  return true
}
