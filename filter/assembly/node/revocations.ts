// Which answers have been revoked, as far as the node has told. Revocations are numbered in generations; an answer takes into account
// all up to a number, and is void where one behind it is about it (docs/batch-stream.md, "Answers that the caller keeps").

import { Bytes, EMPTY, isBytes, isEqual } from '../bytes/bytes'
import { Chosen } from '../cache/chosen'
import {
  Attribute,
  attributeOf,
  Kind,
  kindOf,
  readAttribute,
  readHeader,
  textAt,
  textSize,
} from '../request/attributes'
import { Request } from '../request/request'
import { Settable } from './settable'
import { AUTHORITY, HOST } from '../request/header-names'

export const enum Revoked {
  ALL = 0,
  HANDLER = 1,
  ATTRIBUTE = 2,
}

export class Revocation {
  sequence: f64 = 0
  kind: i32 = 0
  name: Bytes = EMPTY
  key: Bytes | null = null
  value: Bytes = EMPTY
  attribute: i32 = 0
  /** The operator has set the attribute. */
  isSet: bool = false

  get bytes(): i32 {
    const key = this.key
    return this.name.length + this.value.length + (key === null ? 0 : key.length)
  }
}

/** More are not kept apart: they become one of everything. */
export const MAX_KEPT = 256
const MAX_BYTES = 64 * 1024

export class Revocations {
  generation: Bytes = EMPTY
  sequence: f64 = 0
  private all: f64 = 0
  private list: Array<Revocation> = []
  /** Of their words. */
  private bytes: i32 = 0

  constructor(private readonly settable: Settable) {}

  /** Takes up another generation: what was answered before a number is void. */
  restart(generation: Bytes, sequence: f64): void {
    this.generation = generation
    this.sequence = sequence
    this.all = sequence
    this.list = []
    this.bytes = 0
  }

  apply(revocation: Revocation): void {
    this.sequence = revocation.sequence
    this.bytes += revocation.bytes
    if (revocation.kind === Revoked.ALL || this.list.length >= MAX_KEPT || this.bytes > MAX_BYTES)
      return this.revokeBelow(revocation.sequence)
    revocation.attribute = attributeOf(revocation.name)
    revocation.isSet = this.settable.isSet(revocation.name)
    this.list.push(revocation)
  }

  /** Voids all that was answered below a number. */
  revokeBelow(sequence: f64): void {
    this.sequence = max(this.sequence, sequence)
    this.all = sequence
    this.list = []
    this.bytes = 0
  }

  /** Whether an answer may still be given to a request. */
  allows(generation: Bytes, sequence: f64, chosen: Chosen, request: Request): bool {
    if (!isBytes(generation, this.generation)) return false
    if (sequence >= this.sequence) return sequence === this.sequence
    if (sequence < this.all) return false
    for (let i = this.list.length - 1; i >= 0; i--) {
      const revocation = this.list[i]
      if (revocation.sequence <= sequence) return true
      if (isAbout(revocation, chosen, request)) return false
    }
    return true
  }
}

function isAbout(revocation: Revocation, chosen: Chosen, request: Request): bool {
  if (revocation.kind === Revoked.HANDLER) return includes(chosen.handlers, revocation.name)
  if (includes(chosen.generated, revocation.name)) return true
  // Which value the operator's text is, nodes know.
  if (revocation.isSet) return true
  const key = revocation.key
  const attribute = revocation.attribute
  if (attribute === Attribute.HEADERS && key !== null) {
    // The host goes by two names; and names are written in any case: what is written in capitals may be any header.
    const isHost = isBytes(key, HOST)
    if (!readHeader(request, isHost ? AUTHORITY : key)) return hasCapitals(key)
    return isEqual(revocation.value, textAt, textSize) || !request.isNormal
  }
  switch (attribute) {
    case Attribute.FIXED:
      return false
    case Attribute.UNREAD:
    case Attribute.HEADERS:
    case Attribute.QUERY:
      return true
    default:
      if (!readAttribute(attribute, request)) return false
      // What may be spelled in another way at a node may be any value.
      if (!request.isNormal || !isExact(attribute)) return true
      return isEqual(revocation.value, textAt, textSize)
  }
}

function isExact(attribute: i32): bool {
  const kind = kindOf(attribute)
  if (kind === Kind.TEXT || kind === Kind.INTEGER) return true
  // IPv4 has one notation.
  if (kind !== Kind.ADDRESS) return false
  for (let i = 0; i < textSize; i++) if (load<u8>(textAt + <usize>i) === 0x3a) return false
  return true
}

function includes(all: Array<Bytes>, one: Bytes): bool {
  for (let i = 0; i < all.length; i++) if (isBytes(all[i], one)) return true
  return false
}

function hasCapitals(name: Bytes): bool {
  for (let i = 0; i < name.length; i++) if (name[i] >= 0x41 && name[i] <= 0x5a) return true
  return false
}
