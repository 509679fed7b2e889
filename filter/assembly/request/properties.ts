// What Envoy knows of a request beside its headers.

import { getProperty, Status } from '../host/abi'
import { bytesOf, Bytes } from '../bytes/bytes'

/** The properties that are read, by number. */
export const enum Property {
  /** `IP:PORT`, as Envoy's connection manager understands it: by x-forwarded-for, where that is trusted. */
  DOWNSTREAM_ADDRESS = 0,
  /** The same of the connection itself, as the filter before this one has stored it. */
  DIRECT_ADDRESS = 1,
  DESTINATION_ADDRESS = 2,
  URI_SAN_PEER = 3,
  DNS_SAN_PEER = 4,
  SUBJECT_PEER = 5,
  URI_SAN_LOCAL = 6,
  DNS_SAN_LOCAL = 7,
  SUBJECT_LOCAL = 8,
  SERVER_NAME = 9,
  COUNT = 10,
}

/** Parts of a path are apart by a NUL. */
const PATHS: StaticArray<Bytes> = [
  bytesOf('source\0address'),
  bytesOf('filter_state\0intermix.source_address'),
  bytesOf('destination\0address'),
  bytesOf('connection\0uri_san_peer_certificate'),
  bytesOf('connection\0dns_san_peer_certificate'),
  bytesOf('connection\0subject_peer_certificate'),
  bytesOf('connection\0uri_san_local_certificate'),
  bytesOf('connection\0dns_san_local_certificate'),
  bytesOf('connection\0subject_local_certificate'),
  bytesOf('connection\0requested_server_name'),
]

const cell = memory.data(8, 8)

/** Of the property that was read last: where it lies until the callback ends. */
export let valueAt: usize = 0
export let valueSize: i32 = 0

/** Reads a property of the stream. @returns whether it is there and not empty */
export function readProperty(property: i32): bool {
  return readAt(PATHS[property])
}

/** Reads what is at a path. @returns whether it is there and not empty */
export function readAt(path: Bytes): bool {
  if (getProperty(path.dataStart, path.length, cell, cell + 4) !== Status.OK) return false
  valueAt = load<usize>(cell)
  valueSize = load<i32>(cell + 4)
  return valueSize > 0
}
