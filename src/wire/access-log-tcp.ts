// Attributes of TCP connections in access logs.

import { type AccessLogAttributes, DURATION, durationOf, eventOf, within } from './access-log-common.ts'
import { Slot } from './access-log-fields.ts'

/**
 * An entry that does not say why it was written is of an Envoy that writes one at the end.
 * Envoy counts bytes from the start of the connection. Mixer's `.bytes` are those since the report before, so they are
 * stated only when the connection ends: the sum over the reports of a connection is right, however many there are.
 */
export const TCP_ATTRIBUTES: AccessLogAttributes = {
  'context.protocol': { reads: [], derive: () => 'tcp' },
  'connection.event': { reads: [Slot.logType], derive: (entry) => eventOf(entry) ?? 'close' },
  'connection.duration': { reads: DURATION, derive: durationOf },
  'connection.received.bytes_total': within(Slot.connection, [Slot.receivedBytes], (entry) =>
    entry.uint64(Slot.receivedBytes),
  ),
  'connection.sent.bytes_total': within(Slot.connection, [Slot.sentBytes], (entry) => entry.uint64(Slot.sentBytes)),
  'connection.received.bytes': within(Slot.connection, [Slot.receivedBytes, Slot.logType], (entry, bag) =>
    bag.get('connection.event') === 'close' ? entry.uint64(Slot.receivedBytes) : undefined,
  ),
  'connection.sent.bytes': within(Slot.connection, [Slot.sentBytes, Slot.logType], (entry, bag) =>
    bag.get('connection.event') === 'close' ? entry.uint64(Slot.sentBytes) : undefined,
  ),
}
