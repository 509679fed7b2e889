import { create, type JsonValue, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttributeBag, Vocabulary } from '../../src/kernel/attribute-bag.ts'
import { IntermixError } from '../../src/kernel/errors.ts'
import { type AttributeValue, isStringMap, type ValueType } from '../../src/kernel/value.ts'
import { decodeAccessLog } from '../../src/wire/envoy-access-log.ts'
import {
  HTTPAccessLogEntrySchema,
  TCPAccessLogEntrySchema,
} from '../../src/wire/generated/envoy/data/accesslog/v3/accesslog_pb.ts'
import { StreamAccessLogsMessageSchema } from '../../src/wire/generated/envoy/service/accesslog/v3/als_pb.ts'
import { messageBytes } from '../helpers/message-bytes.ts'
import { usedHeap } from '../helpers/used-heap.ts'
import { decodedAccessLog } from './decoded-access-log.ts'

const TEXTS = (
  ' / /a?c=1&d https://a.test/b a.test:80 x-a X-A cookie x-istio-attributes content-type application/grpc __proto__ ' +
  'constructor grpc-status 14 10.0.0.1 fd00::1%eth0 zoë spiffe://c/ns/n/sa/s envoy.filters.http.jwt_authn ' +
  'envoy.filters.http.ext_authz status PERMISSION_DENIED reason tier backend iss sub aud outbound|9080|v1|r.ns.svc.x ' +
  'inbound|80||h destination.port connection.event request.headers source.labels {"a":"b"} 8080'
).split(' ')
const VOCABULARY: Vocabulary = new Map<string, ValueType>([
  ['destination.port', 'INT64'],
  ['connection.event', 'STRING'],
  ['source.labels', 'STRING_MAP'],
  ['request.headers', 'STRING_MAP'],
])

const messages = messageBytes(StreamAccessLogsMessageSchema, TEXTS)
const entries = messageBytes(HTTPAccessLogEntrySchema, TEXTS)
const tcpEntries = messageBytes(TCPAccessLogEntrySchema, TEXTS)

/** A message of HTTP (2) or TCP (3) entries. */
function messageOf(logs: readonly Uint8Array[], kind: 2 | 3 = 2): Uint8Array {
  const inner = new BinaryWriter()
  for (const entry of logs) inner.tag(1, WireType.LengthDelimited).bytes(entry)
  return new BinaryWriter().tag(kind, WireType.LengthDelimited).bytes(inner.finish()).finish()
}

function plain(value: AttributeValue | undefined): unknown {
  if (typeof value !== 'object' || !isStringMap(value)) return value
  const all = [...value.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const keys = new Set([...TEXTS, ...all.map(([key]) => key)])
  return [value.size, all, [...keys].map((key) => value.get(key))]
}

/** All that the bags of a message say, or why there are none. */
function said(make: () => readonly AttributeBag[]): unknown {
  try {
    return make().map((bag) => [...bag.names()].toSorted().map((name) => [name, plain(bag.get(name))]))
  } catch (caught) {
    return caught instanceof IntermixError ? caught.message : caught
  }
}
const lazily = (bytes: Uint8Array) => said(() => decodeAccessLog(bytes, VOCABULARY))
const decoded = (bytes: Uint8Array) => said(() => decodedAccessLog(bytes, VOCABULARY))

describe('access logs, read lazily', () => {
  it('say what protobuf’s own decoder says, of any message', () => {
    let attributes = 0
    fc.assert(
      fc.property(
        fc.oneof(
          messages,
          fc.array(entries, { maxLength: 3 }).map((logs) => messageOf(logs)),
        ),
        (bytes) => {
          const wanted = decoded(bytes)
          expect(wanted).toBeInstanceOf(Array)
          expect(lazily(bytes)).toEqual(wanted)
          attributes += (wanted as unknown[][]).flat().length
        },
      ),
      { numRuns: 2_000 },
    )
    expect(attributes).toBeGreaterThan(10_000)
  })

  it('are refused wherever protobuf’s own decoder refuses them, and else read the same', () => {
    let refused = 0
    let read = 0
    const damage = fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('change', 'cut', 'insert', 'truncate'))
    fc.assert(
      fc.property(
        fc.oneof(
          messages,
          entries.map((entry) => messageOf([entry])),
        ),
        damage,
        (whole, [place, byte, how]) => {
          const at = whole.length === 0 ? 0 : place % whole.length
          const bytes = Buffer.concat([
            whole.subarray(0, at),
            how === 'cut' || how === 'truncate' ? EMPTY : Uint8Array.of(byte),
            how === 'truncate' ? EMPTY : whole.subarray(how === 'insert' ? at : at + 1),
          ])
          const found = lazily(bytes)
          if (typeof found === 'string') {
            expect(found).toMatch(/^malformed protobuf message/)
            refused++
            return
          }
          expect(found).toEqual(decoded(bytes))
          read++
        },
      ),
      { numRuns: 2_000 },
    )
    expect(refused).toBeGreaterThan(100)
    expect(read).toBeGreaterThan(100)
  })

  it.each([
    ['a group', [0x0b, 0x0c]],
    ['the end of a group', [0x0c]],
    ['a field that ends behind its message', [0x0a, 0x02, 0x12, 0x01, 0x61]],
    ['another wire type of a known field', [0x12, 0x04, 0x0a, 0x02, 0x08, 0x01]],
    ['text that is not UTF-8', [0x12, 0x07, 0x0a, 0x05, 0x1a, 0x03, 0x2a, 0x01, 0xff]],
    ['text in an unread field that is not UTF-8', [0x0a, 0x03, 0x12, 0x01, 0xff]],
    ['more entries than bytes', [0x12, 0x03, 0x0a, 0x7f, 0x00]],
  ])('are refused with %s', (_, bytes) => {
    expect(() => decodeAccessLog(Uint8Array.from(bytes))).toThrow('malformed protobuf message')
  })

  it('may have metadata of a hundred levels and no more', () => {
    const bytes = (metadata: JsonValue) => {
      const commonProperties = { metadata: { filterMetadata: { n: { a: metadata } } } }
      const logEntries = { case: 'httpLogs' as const, value: { logEntry: [{ commonProperties }] } }
      return toBinary(StreamAccessLogsMessageSchema, create(StreamAccessLogsMessageSchema, { logEntries }))
    }
    let value: JsonValue = 'deep'
    const accepted: boolean[] = []
    for (let level = 0; level < 50; level++) {
      for (const each of [value, [value]]) {
        const found = lazily(bytes(each))
        accepted.push(Array.isArray(found))
        expect(found).toEqual(
          Array.isArray(found) ? decoded(bytes(each)) : expect.stringContaining('more than 100 mess'),
        )
        expect(Array.isArray(decoded(bytes(each)))).toBe(Array.isArray(found))
      }
      value = { a: value }
    }
    expect(accepted).toContain(true)
    expect(accepted).toContain(false)
  })

  it('are refused with metadata in so many parts that joining them takes long', () => {
    const part = Uint8Array.of(0x8a, 0x01, 0x00)
    const entry = (parts: number) => {
      const common = Buffer.concat(Array.from({ length: parts }, () => part))
      return new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(common).finish()
    }
    expect(() => decodeAccessLog(messageOf([entry(100)]))).not.toThrow()
    expect(() => decodeAccessLog(messageOf([entry(101)]))).toThrow('more than 100 parts')
  })
})

describe('entries without a byte', () => {
  it('hold little, as a message may have very many', () => {
    const bytes = messageOf(Array.from({ length: 20_000 }, () => EMPTY))
    decodeAccessLog(bytes)
    const before = usedHeap()
    const bags = decodeAccessLog(bytes)
    expect((usedHeap() - before) / bags.length).toBeLessThan(500)
  })
})

describe('what changed since another entry', () => {
  const pairsOf = (kind: 2 | 3, entry: typeof entries) =>
    fc.record({ kind: fc.constant(kind), whole: entry, more: entry })
  const changesOf = (bag: AttributeBag | undefined, earlier: AttributeBag | undefined) =>
    bag === undefined || earlier === undefined ? undefined : bag.changesSince?.(earlier)

  it('is all that may have another value', () => {
    let known = 0
    let kept = 0
    fc.assert(
      fc.property(fc.oneof(pairsOf(2, entries), pairsOf(3, tcpEntries)), ({ kind, whole, more }) => {
        // An entry behind an entry is both in one, and changes parts of it.
        const bytes = messageOf([whole, Buffer.concat([whole, more]), whole], kind)
        const [first, second, third] = decodeAccessLog(bytes, VOCABULARY)
        expect([...(changesOf(third, first) ?? [])]).toEqual([])
        const changes = changesOf(second, first)
        if (first === undefined || second === undefined || changes === undefined) return
        known++
        const changed = new Set(changes)
        for (const name of new Set([...TEXTS, ...first.names(), ...second.names()])) {
          if (changed.has(name)) continue
          kept++
          expect([name, plain(second.get(name))]).toEqual([name, plain(first.get(name))])
        }
      }),
      { numRuns: 1_500 },
    )
    expect(known).toBeGreaterThan(500)
    expect(kept).toBeGreaterThan(10_000)
  })

  it('is not known of entries of another message, which are not kept alive', () => {
    const bytes = messageOf(Array.from({ length: 100 }, () => EMPTY))
    let last: AttributeBag | undefined
    const cycle = () => {
      for (let message = 0; message < 100; message++) {
        for (const bag of decodeAccessLog(bytes)) {
          changesOf(bag, last)
          last = bag
        }
        expect(changesOf(decodeAccessLog(bytes)[0], last)).toBeUndefined()
      }
    }
    cycle()
    const before = usedHeap()
    cycle()
    expect(usedHeap() - before).toBeLessThan(2 * 1024 * 1024)
  })
})

const EMPTY = new Uint8Array(0)
