// From Envoy's access log entries to Mixer's report attributes. Runs in the workers.

import type { AttributeBag, Vocabulary } from '../kernel/attribute-bag.ts'
import { type AccessLogAttributes, COMMON_ATTRIBUTES } from './access-log-common.ts'
import type { AccessLogEntry } from './access-log-entry.ts'
import { Slot } from './access-log-fields.ts'
import { HTTP_ATTRIBUTES } from './access-log-http.ts'
import { AccessLogReader } from './access-log-reader.ts'
import { TCP_ATTRIBUTES } from './access-log-tcp.ts'
import { type Derivations, DerivedBag } from './derived-bag.ts'
import { MetadataBag } from './envoy-metadata.ts'
import { readSetAttributes } from './set-attributes.ts'

const NO_VOCABULARY: Vocabulary = new Map()

/**
 * The entries of a `StreamAccessLogsMessage` with its identifier filled in, each as a bag that works its attributes out
 * when they are read. Custom tags whose name is an attribute of the vocabulary set that attribute: they are the
 * operator's words. Dynamic metadata is readable as one map of strings a namespace.
 * @throws IntermixError INVALID_REQUEST where the payload is not such a message.
 */
export function decodeAccessLog(payload: Uint8Array, vocabulary: Vocabulary = NO_VOCABULARY): AttributeBag[] {
  const { kind, entries } = new AccessLogReader(payload)
  const schema = kind === 'tcp' ? TCP : HTTP
  return entries.map((entry) => new AccessLogBag(entry, schema, vocabulary))
}

interface Schema {
  readonly table: Derivations<AccessLogEntry>
  /** Each slot that attributes read, and their names. */
  readonly readers: readonly { readonly slot: Slot; readonly names: readonly string[] }[]
}

const HTTP = schemaOf({ ...COMMON_ATTRIBUTES, ...HTTP_ATTRIBUTES })
const TCP = schemaOf({ ...COMMON_ATTRIBUTES, ...TCP_ATTRIBUTES })

function schemaOf(attributes: AccessLogAttributes): Schema {
  const all = Object.entries(attributes)
  const readers = Object.values(Slot).map((slot) => ({
    slot,
    names: all.filter(([, { reads }]) => reads.includes(slot)).map(([name]) => name),
  }))
  return {
    table: new Map(all.map(([name, { derive }]) => [name, derive])),
    readers: readers.filter(({ names }) => names.length > 0),
  }
}

class AccessLogBag extends DerivedBag<AccessLogEntry> {
  readonly #entry: AccessLogEntry
  readonly #schema: Schema
  #compared: { readonly to: AttributeBag; readonly changes: readonly string[] | undefined } | undefined

  constructor(entry: AccessLogEntry, schema: Schema, vocabulary: Vocabulary) {
    const set = entry.has(Slot.tags) ? readTags(entry, vocabulary) : undefined
    super(entry, schema.table, set, entry.has(Slot.metadata) ? new MetadataBag(entry) : undefined)
    this.#entry = entry
    this.#schema = schema
  }

  /** Of entries whose tags or metadata differ it is not known: these have attributes of any name. */
  changesSince(earlier: AttributeBag): Iterable<string> | undefined {
    if (this.#compared?.to === earlier) return this.#compared.changes
    // What is kept of another bag keeps it alive, so that must not lead from message to message.
    if (!(earlier instanceof AccessLogBag) || !earlier.#entry.isBeside(this.#entry)) return undefined
    const changes = changesOf(this.#entry, earlier.#entry, this.#schema)
    this.#compared = { to: earlier, changes }
    return changes
  }
}

function changesOf(entry: AccessLogEntry, earlier: AccessLogEntry, { readers }: Schema): string[] | undefined {
  if (!entry.isSame(Slot.tags, earlier) || !entry.isSame(Slot.metadata, earlier)) return undefined
  const changes: string[] = []
  for (const { slot, names } of readers) {
    if (!entry.isSame(slot, earlier)) for (const name of names) changes.push(name)
  }
  return changes
}

/** A tag of the wrong type is left out: what has happened is reported all the same. */
function readTags(entry: AccessLogEntry, vocabulary: Vocabulary): ReturnType<typeof readSetAttributes> {
  const tags = [...entry.map(entry.places(Slot.tags)).entries()]
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
