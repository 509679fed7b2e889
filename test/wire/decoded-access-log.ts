// What Envoy's access logs say by protobuf's own decoder: the judge of the lazy reader.

import { fromBinary } from '@bufbuild/protobuf'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { type AccessLogSource, COMMON_DERIVATIONS } from './decoded-access-log-common.ts'
import { HTTP_DERIVATIONS } from './decoded-access-log-http.ts'
import { TCP_DERIVATIONS } from './decoded-access-log-tcp.ts'
import { type Derivations, DerivedBag } from '../../src/wire/derived-bag.ts'
import { MetadataBag } from '../../src/wire/envoy-metadata.ts'
import {
  type StreamAccessLogsMessage,
  StreamAccessLogsMessageSchema,
} from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import { readSetAttributes } from '../../src/wire/set-attributes.ts'

const READ_OPTIONS = { readUnknownFields: false } as const
const NO_VOCABULARY: Vocabulary = new Map()

/**
 * The entries of a `StreamAccessLogsMessage` with its identifier filled in, each as a bag that works its attributes out
 * when they are read. Custom tags whose name is an attribute of the vocabulary set that attribute: they are the
 * operator's words. Dynamic metadata is readable as one map of strings a namespace.
 * @throws IntermixError INVALID_REQUEST where the payload is not such a message.
 */
export function decodedAccessLog(payload: Uint8Array, vocabulary: Vocabulary = NO_VOCABULARY): AttributeBag[] {
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
  const rest = common?.metadata === undefined ? undefined : new MetadataBag(common)
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
