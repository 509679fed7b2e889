// Checks encoded dynamic metadata (google.protobuf.Struct by namespace) for structure, so that decoding it later, if a rule
// asks for it at all, cannot fail.

import { BYTES, FIXED64, VARINT, type WireReader } from './wire-reader.ts'

/** What a field holds: a wire type, text, or a message with fields. */
type Field = typeof VARINT | typeof FIXED64 | 'text' | Fields
interface Fields {
  /** Map entries are no level of their own. */
  readonly level: 0 | 1
  /** By field number. */
  readonly fields: (Field | undefined)[]
}

const VALUE: Fields = { level: 1, fields: [] }
const LIST: Fields = { level: 1, fields: [undefined, VALUE] }
const STRUCT: Fields = { level: 1, fields: [undefined, { level: 0, fields: [undefined, 'text', VALUE] }] }
VALUE.fields.push(undefined, VARINT, FIXED64, 'text', VARINT, STRUCT, LIST)
const METADATA: Fields = {
  level: 1,
  fields: [undefined, { level: 0, fields: [undefined, 'text', STRUCT] }],
}

/** What protobuf's own decoders allow. */
const MAX_LEVELS = 100

/**
 * Passes over a Metadata whose length comes next.
 * @param level the number of messages that it is in, and itself
 * @throws IntermixError INVALID_REQUEST where it is malformed or too deep
 */
export function checkMetadata(reader: WireReader, level: number): void {
  check(reader, METADATA, level)
}

function check(reader: WireReader, { fields }: Fields, level: number): void {
  if (level > MAX_LEVELS) throw reader.malformed(`more than ${MAX_LEVELS} messages in each other`)
  const outer = reader.open()
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = fields[tag >>> 3]
    if (field === 'text') reader.text(tag)
    else if (typeof field === 'object') {
      reader.expect(tag, BYTES)
      check(reader, field, level + field.level)
    } else {
      if (field !== undefined) reader.expect(tag, field)
      reader.skip(tag)
    }
  }
  reader.close(outer)
}
