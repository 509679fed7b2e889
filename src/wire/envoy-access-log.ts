// From Envoy's access log entries to Mixer's report attributes. Runs in the workers.

import { fromBinary } from '@bufbuild/protobuf'
import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { IntermixError } from '../kernel/errors.ts'
import { type AccessLogSource, COMMON_DERIVATIONS } from './access-log-common.ts'
import { HTTP_DERIVATIONS } from './access-log-http.ts'
import { TCP_DERIVATIONS } from './access-log-tcp.ts'
import { type Derivations, DerivedBag } from './derived-bag.ts'
import { MetadataBag } from './envoy-metadata.ts'
import {
  type StreamAccessLogsMessage,
  StreamAccessLogsMessageSchema,
} from './generated/envoy/service/accesslog/v3/als_pb.ts'
import { readSetAttributes } from './set-attributes.ts'

const READ_OPTIONS = { readUnknownFields: false } as const
const NO_VOCABULARY: Vocabulary = new Map()

/**
 * The entries of a `StreamAccessLogsMessage` with its identifier filled in, each as a bag that works its attributes out
 * when they are read. Custom tags whose name is an attribute of the vocabulary set that attribute: they are the
 * operator's words. Dynamic metadata is readable as one map of strings a namespace.
 * @throws IntermixError INVALID_REQUEST where the payload is not such a message.
 */
export function decodeAccessLog(payload: Uint8Array, vocabulary: Vocabulary = NO_VOCABULARY): AttributeBag[] {
  const message = read(payload)
  const reporter = message.identifier?.node?.id
  const logs = message.logEntries
  if (logs.case === 'httpLogs') return logs.value.logEntry.map((entry) => bagOf({ entry, reporter }, HTTP, vocabulary))
  if (logs.case === 'tcpLogs') return logs.value.logEntry.map((entry) => bagOf({ entry, reporter }, TCP, vocabulary))
  return []
}

const HTTP = new Map([...Object.entries(COMMON_DERIVATIONS), ...Object.entries(HTTP_DERIVATIONS)])
const TCP = new Map([...Object.entries(COMMON_DERIVATIONS), ...Object.entries(TCP_DERIVATIONS)])

function read(payload: Uint8Array): StreamAccessLogsMessage {
  try {
    return fromBinary(StreamAccessLogsMessageSchema, payload, READ_OPTIONS)
  } catch (caught) {
    throw new IntermixError('INVALID_REQUEST', 'not an access log message', { cause: caught })
  }
}

function bagOf<S extends AccessLogSource>(source: S, table: Derivations<S>, vocabulary: Vocabulary): AttributeBag {
  const common = source.entry.commonProperties
  const tags = Object.entries(common?.customTags ?? {})
  const set = tags.length === 0 ? undefined : readTags(tags, vocabulary)
  const rest = common?.metadata === undefined ? undefined : new MetadataBag(common.metadata)
  return new DerivedBag(source, table, set, rest)
}

/** A tag of the wrong type is left out: what has happened is reported all the same. */
function readTags(tags: readonly [string, string][], vocabulary: Vocabulary): ReturnType<typeof readSetAttributes> {
  return new Map(
    tags.flatMap((tag) => {
      try {
        return [...readSetAttributes([tag], vocabulary, 'custom_tags')]
      } catch {
        return []
      }
    }),
  )
}
