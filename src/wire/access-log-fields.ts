// Which fields of Envoy's access log entries are read, and where the index of an entry keeps them.

/** Where the index of an entry keeps a field. What is only checked goes to `unread`. */
export const Slot = {
  unread: 0,
  common: 1,
  remoteAddress: 2,
  remotePort: 3,
  localAddress: 4,
  localPort: 5,
  upstreamSocket: 6,
  upstreamAddress: 7,
  upstreamPort: 8,
  cluster: 9,
  flags: 10,
  sni: 11,
  ownNames: 12,
  ownSubject: 13,
  peerNames: 14,
  peerSubject: 15,
  start: 16,
  startSeconds: 17,
  startNanos: 18,
  sent: 19,
  sentSeconds: 20,
  sentNanos: 21,
  duration: 22,
  durationSeconds: 23,
  durationNanos: 24,
  metadata: 25,
  tags: 26,
  stream: 27,
  logType: 28,
  request: 29,
  method: 30,
  scheme: 31,
  authority: 32,
  path: 33,
  userAgent: 34,
  referer: 35,
  requestId: 36,
  requestHeadersBytes: 37,
  requestBodyBytes: 38,
  requestHeaders: 39,
  response: 40,
  code: 41,
  codeValue: 42,
  responseHeadersBytes: 43,
  responseBodyBytes: 44,
  responseHeaders: 45,
  responseTrailers: 46,
  connection: 47,
  receivedBytes: 48,
  sentBytes: 49,
  remoteSocket: 50,
  localSocket: 51,
} as const
export type Slot = (typeof Slot)[keyof typeof Slot]
export const SLOTS = Object.keys(Slot).length

/** What a slot holds: 0 where the entry does not say it, else as follows. */
export const Kind = {
  /** The place of a text's length. */
  text: 0,
  /** The place of a varint. */
  number: 1,
  /** Some place: that the message is there. Its fields have slots of their own. */
  message: 2,
  /** The number of a list of places of texts: keys and values of a map in turns. */
  map: 3,
  /** As `map`; of the two texts of each the later one counts. */
  choices: 4,
  /** Bits of booleans, by field number. */
  flags: 5,
  /** The number of a list of places of the parts of one message. */
  parts: 6,
} as const
export type Kind = (typeof Kind)[keyof typeof Kind]

export interface Field {
  readonly kind: Kind
  readonly slot: Slot
  /** Of a message. */
  readonly fields: Fields
  /** Slots that such a message empties: those of the other members of its oneof. */
  readonly replaces: readonly Slot[]
}
/** By field number. */
export type Fields = readonly (Field | undefined)[]

/** What each slot holds. */
export const KINDS: Kind[] = Array.from({ length: SLOTS }, () => Kind.message)

const NO_FIELDS: Fields = []
const NO_SLOTS: readonly Slot[] = []

function field(kind: Kind, slot: Slot, fields = NO_FIELDS, replaces = NO_SLOTS): Field {
  KINDS[slot] = kind
  return { kind, slot, fields, replaces }
}
const text = (slot: Slot): Field => field(Kind.text, slot)
const number = (slot: Slot): Field => field(Kind.number, slot)

function message(slot: Slot, byNumber: Readonly<Record<number, Field>>, replaces = NO_SLOTS): Field {
  return field(Kind.message, slot, fieldsOf(byNumber), replaces)
}

function fieldsOf(byNumber: Readonly<Record<number, Field>>): Fields {
  const numbers = Object.keys(byNumber).map(Number)
  return Array.from({ length: Math.max(...numbers) + 1 }, (_, at) => byNumber[at])
}

function addressOf(socket: Slot, address: Slot, port: Slot): Field {
  const parts = { 1: number(Slot.unread), 2: text(address), 3: number(port) }
  return message(Slot.unread, {
    1: message(socket, parts),
    2: message(Slot.unread, { 1: text(Slot.unread) }, [socket, address, port]),
  })
}

const timeOf = (whole: Slot, seconds: Slot, nanos: Slot): Field =>
  message(whole, { 1: number(seconds), 2: number(nanos) })

const certificateOf = (names: Slot, subject: Slot): Field =>
  message(Slot.unread, { 1: field(Kind.choices, names), 2: text(subject) })

/** The member of `ResponseFlags` that is a message, not a boolean; that it is there sets its bit. */
export const UNAUTHORIZED = 13
const LAST_FLAG = 28
const FLAGS = Object.fromEntries(
  Array.from({ length: LAST_FLAG }, (_, at) => [
    at + 1,
    field(Kind.flags, Slot.flags, at + 1 === UNAUTHORIZED ? fieldsOf({ 1: number(Slot.unread) }) : NO_FIELDS),
  ]),
)

const COMMON = message(Slot.common, {
  2: addressOf(Slot.remoteSocket, Slot.remoteAddress, Slot.remotePort),
  3: addressOf(Slot.localSocket, Slot.localAddress, Slot.localPort),
  4: message(Slot.unread, {
    3: text(Slot.sni),
    4: certificateOf(Slot.ownNames, Slot.ownSubject),
    5: certificateOf(Slot.peerNames, Slot.peerSubject),
  }),
  5: timeOf(Slot.start, Slot.startSeconds, Slot.startNanos),
  12: timeOf(Slot.sent, Slot.sentSeconds, Slot.sentNanos),
  13: addressOf(Slot.upstreamSocket, Slot.upstreamAddress, Slot.upstreamPort),
  15: text(Slot.cluster),
  16: message(Slot.unread, FLAGS),
  17: field(Kind.parts, Slot.metadata),
  22: field(Kind.map, Slot.tags),
  23: timeOf(Slot.duration, Slot.durationSeconds, Slot.durationNanos),
  26: text(Slot.stream),
  33: number(Slot.logType),
})

/** Fields of an `HTTPAccessLogEntry`. */
export const HTTP_ENTRY: Fields = fieldsOf({
  1: COMMON,
  2: number(Slot.unread),
  3: message(Slot.request, {
    1: number(Slot.method),
    2: text(Slot.scheme),
    3: text(Slot.authority),
    5: text(Slot.path),
    6: text(Slot.userAgent),
    7: text(Slot.referer),
    9: text(Slot.requestId),
    11: number(Slot.requestHeadersBytes),
    12: number(Slot.requestBodyBytes),
    13: field(Kind.map, Slot.requestHeaders),
  }),
  4: message(Slot.response, {
    1: message(Slot.code, { 1: number(Slot.codeValue) }),
    2: number(Slot.responseHeadersBytes),
    3: number(Slot.responseBodyBytes),
    4: field(Kind.map, Slot.responseHeaders),
    5: field(Kind.map, Slot.responseTrailers),
  }),
})

/** Fields of a `TCPAccessLogEntry`. */
export const TCP_ENTRY: Fields = fieldsOf({
  1: COMMON,
  2: message(Slot.connection, { 1: number(Slot.receivedBytes), 2: number(Slot.sentBytes) }),
})
