// Attributes of TCP connections in access logs.

import { type AccessLogSource, durationOf, eventOf } from './decoded-access-log-common.ts'
import type { Derive } from '../../src/wire/derived-bag.ts'
import type { TCPAccessLogEntry } from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'

type Source = AccessLogSource<TCPAccessLogEntry>

/**
 * An entry that does not say why it was written is of an Envoy that writes one at the end.
 * Envoy counts bytes from the start of the connection. Mixer's `.bytes` are those since the report before, so they are
 * stated only when the connection ends: the sum over the reports of a connection is right, however many there are.
 */
export const TCP_DERIVATIONS: Readonly<Record<string, Derive<Source>>> = {
  'context.protocol': () => 'tcp',
  'connection.event': ({ entry: { commonProperties } }) =>
    commonProperties === undefined ? 'close' : (eventOf(commonProperties) ?? 'close'),
  'connection.duration': ({ entry }) => durationOf(entry.commonProperties),
  'connection.received.bytes_total': ({ entry }) => entry.connectionProperties?.receivedBytes,
  'connection.sent.bytes_total': ({ entry }) => entry.connectionProperties?.sentBytes,
  'connection.received.bytes': ({ entry }, bag) =>
    bag.get('connection.event') === 'close' ? entry.connectionProperties?.receivedBytes : undefined,
  'connection.sent.bytes': ({ entry }, bag) =>
    bag.get('connection.event') === 'close' ? entry.connectionProperties?.sentBytes : undefined,
}
