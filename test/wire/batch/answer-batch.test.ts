import { inspect } from 'node:util'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AnswerShape, ReadQuestion } from '../../../src/kernel/answer-shape.ts'
import type { SubjectTest } from '../../../src/kernel/subject-test.ts'
import type { Answer } from '../../../src/kernel/verdict.ts'
import { AnswerBatches, type ToldAnswer } from '../../../src/wire/batch/answer-batch.ts'
import { AnswerBatchWriter } from '../../../src/wire/batch/answer-batch-writer.ts'
import { WireWriter } from '../../../src/wire/wire-writer.ts'
import { AnswerBatchSchema } from '../../../src/wire/generated/intermix/v1/batch_pb.ts'

const text = fc.oneof(fc.constantFrom('', 'no', 'zoë', 'x-a'), fc.string({ unit: 'grapheme', maxLength: 400 }))
const operation = fc.record({
  name: fc.constantFrom('x-a', 'x-b', 'cookie'),
  value: text,
  operation: fc.constantFrom('REPLACE' as const, 'REMOVE' as const, 'APPEND' as const),
})
const status = fc.record({ code: fc.constantFrom(0, 7, 16, -1, 2_147_483_647), message: text })
const answer: fc.Arbitrary<Answer> = fc.record({
  status,
  validForMs: fc.oneof(fc.nat(), fc.maxSafeNat()),
  validUses: fc.nat(),
  tier: fc.constantFrom('local', 'mesh', 'backend', 'stale'),
  ageMs: fc.nat(),
  referenced: fc.constant([]),
  requestHeaders: fc.array(operation, { maxLength: 3 }),
  responseHeaders: fc.array(operation, { maxLength: 3 }),
  directResponse: fc.option(
    fc.record({
      code: fc.constantFrom(0, 302),
      body: text,
      headers: fc.dictionary(fc.constantFrom('a', 'b'), fc.constant('v')),
    }),
    { nil: undefined },
  ),
  deniedBy: fc.option(fc.record({ rule: text, handler: text }), { nil: undefined }),
})
const plain = fc.oneof(text, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.boolean())
const { test } = fc.letrec<{ test: SubjectTest }>((tie) => ({
  test: fc.oneof(
    { depthSize: 'small' },
    fc.record({ op: fc.constant('equals' as const), value: plain }),
    fc.record({
      op: fc.constant('oneOf' as const),
      values: fc.oneof(
        fc.array(text, { minLength: 2 }),
        fc.array(fc.bigInt(0n, 9n), { minLength: 2 }),
        fc.constant([]),
      ),
    }),
    fc.record({ op: fc.constantFrom('prefix', 'suffix', 'contains', 'matches'), text }),
    fc.record({
      op: fc.constantFrom('below', 'atMost', 'above', 'atLeast'),
      than: fc.oneof(text, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.double()),
    }),
    fc.record({
      op: fc.constant('longest' as const),
      side: fc.constantFrom('prefix', 'suffix'),
      known: fc.array(text),
      affix: fc.option(text, { nil: undefined }),
    }),
    fc.record({ op: fc.constant('not' as const), of: tie('test') }),
    fc.record({ op: fc.constantFrom('all', 'any'), of: fc.array(tie('test'), { maxLength: 3 }) }),
  ) as fc.Arbitrary<SubjectTest>,
}))
const question: fc.Arbitrary<ReadQuestion> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('attribute', 'map'),
    name: text,
    key: fc.constant(undefined),
    test: fc.constant(undefined),
  }),
  fc.record({ kind: fc.constant('key' as const), name: text, key: text, test: fc.constant(undefined) }),
  fc.record({
    kind: fc.constant('predicate' as const),
    name: text,
    key: fc.option(text, { nil: undefined }),
    test,
  }),
)
const asked = fc.record({
  question,
  outcome: fc.constantFrom('absent' as const, 'no-map' as const, 'present' as const, 'true' as const, 'false' as const),
})
const shape = fc
  .record({
    config: text,
    scope: text,
    handlers: fc.array(text, { maxLength: 2 }),
    generated: fc.array(text, { maxLength: 2 }),
    choosing: fc.array(asked, { maxLength: 3 }),
    reads: fc.array(asked, { maxLength: 3 }),
    epoch: fc.record({ generation: text, sequence: fc.nat() }),
    failsOpen: fc.boolean(),
  })
  // Rules that are named alike have the same handlers.
  .map((each) => ({ ...each, scope: `${each.scope} ${JSON.stringify(each.handlers)}` }))
/** Questions are named as whoever makes them likes; here by what they ask. */
function named({ choosing, reads, ...rest }: typeof shape extends fc.Arbitrary<infer T> ? T : never): AnswerShape {
  const withId = (each: (typeof reads)[number]) => ({ ...each, id: inspect(each.question, { depth: null }) })
  return { ...rest, choosing: choosing.map(withId), reads: reads.map(withId) }
}
const grant = fc.record({ status, granted: fc.maxSafeInteger(), validForMs: fc.nat() })
/** By name, some with a shape. */
const grants = fc
  .uniqueArray(fc.tuple(text, grant, fc.option(shape, { nil: undefined })), {
    maxLength: 3,
    selector: ([name]) => name,
  })
  .map((all) => new Map(all.map(([name, each, own]) => [name, { ...each, referenced: [], shape: own && named(own) }])))
const staleForMs = fc.oneof(fc.constant(0), fc.maxSafeNat())

function withoutIds(shape: AnswerShape | undefined): unknown {
  const withoutId = ({ question, outcome }: AnswerShape['reads'][number]) => ({ question, outcome })
  return shape && { ...shape, choosing: shape.choosing.map(withoutId), reads: shape.reads.map(withoutId) }
}

const told = { isPaid: fc.boolean(), usesUnbound: fc.boolean(), quotas: grants }

const said = fc.oneof(
  fc.record({ kind: fc.constant('answer' as const), answer, ...told }),
  fc.record({ kind: fc.constant('kept' as const), answer, shape, staleForMs, ...told }),
  fc.record({ kind: fc.constant('failure' as const), status }),
  fc.record({ kind: fc.constant('leaving' as const) }),
)

/** Grants without what is not told of them: no revocation is about one, and no rule lets one pass. */
function plainly({ grants: all }: Pick<ToldAnswer, 'grants'>): unknown {
  return Array.from(all, ([name, { status: said, granted, validForMs, shape: own }]) => {
    const shape = withoutIds(own && { ...own, epoch: { generation: '', sequence: 0 }, failsOpen: false })
    return [name, { status: said, granted, validForMs, shape }]
  })
}

type Said = typeof said extends fc.Arbitrary<infer T> ? T : never
/** What is behind the shapes of a batch. */
function isBehind(each: Said): boolean {
  return each.kind === 'kept' || (each.kind === 'answer' && [...each.quotas.values()].some((own) => own.shape))
}

function reader() {
  const batches = new AnswerBatches()
  return (message: Uint8Array): unknown[] => {
    const heard: unknown[] = []
    batches.read(message, {
      answered: (id, told) => void heard.push([id, { ...told, shape: withoutIds(told.shape), grants: plainly(told) }]),
      failed: (id, given) => void heard.push([id, given]),
      leaving: () => void heard.push('leaving'),
    })
    return heard
  }
}

describe('batches of answers', () => {
  it.each([
    ['many words', { maxWords: 65_536, maxBytes: 1e6 }],
    ['few words', { maxWords: 8, maxBytes: 1e6 }],
  ])('say what was written, batch after batch, with room for %s', (_, bounds) => {
    fc.assert(
      fc.property(fc.array(fc.array(said, { maxLength: 5 }), { maxLength: 8 }), (given) => {
        const writer = new AnswerBatchWriter(bounds)
        const read = reader()
        const again = reader()
        for (const batch of given) {
          for (const [id, each] of batch.entries()) {
            if (each.kind === 'answer') writer.add(id, each)
            else if (each.kind === 'kept') writer.add(id, { ...each, shape: named(each.shape) })
            else if (each.kind === 'failure') writer.addFailure(id, each.status)
            else writer.leave()
          }
          const bytes = writer.take()
          // What refers to shapes lies behind them.
          const heard = [...batch.entries()]
            .toSorted(([, one], [, two]) => Number(isBehind(one)) - Number(isBehind(two)))
            .map(([id, each]) => {
              if (each.kind === 'leaving') return 'leaving'
              if (each.kind === 'failure') return [id, each.status]
              const { answer: same, isPaid, usesUnbound } = each
              const told = { answer: same, isPaid, usesUnbound, grants: plainly({ grants: each.quotas }) }
              if (each.kind === 'answer') return [id, { ...told, shape: undefined, staleForMs: 0 }]
              return [id, { ...told, shape: withoutIds(named(each.shape)), staleForMs: each.staleForMs }]
            })
          expect(read(bytes)).toEqual(heard)
          const restated = again(toBinary(AnswerBatchSchema, fromBinary(AnswerBatchSchema, bytes)))
          expect(restated.filter((each) => each !== 'leaving')).toEqual(heard.filter((each) => each !== 'leaving'))
          expect(restated.includes('leaving')).toBe(heard.includes('leaving'))
        }
      }),
      { numRuns: 200 },
    )
  })

  it.each([
    ['an unknown word', Buffer.of(0x22, 0x02, 0x18, 0x02), 'unknown word 1'],
    ['an unknown passing word', Buffer.of(0x22, 0x02, 0x18, 0x01), 'unknown word -1'],
  ])('are refused with %s', (_, bytes, why) => {
    expect(() => reader()(bytes)).toThrow(why)
  })

  it('tell no more constants of tests than callers have room for, and begin anew instead', () => {
    const writer = new AnswerBatchWriter()
    const read = reader()
    const testOf = (values: string[]) => ({ op: 'oneOf' as const, values })
    let told = 0
    const shapeOf = (number: number, size: number): AnswerShape => {
      const question: ReadQuestion = {
        kind: 'predicate',
        name: 'request.path',
        key: undefined,
        test: testOf(Array.from({ length: size }, (_, i) => `${number} ${i}`.padEnd(64))),
      }
      const reads = [{ id: `${number}`, question, outcome: 'true' as const }]
      return {
        config: 'c',
        scope: 's',
        handlers: [],
        generated: [],
        choosing: [],
        reads,
        epoch: { generation: 'g', sequence: 1 },
      }
    }
    const plain = fc.sample(answer, { numRuns: 1, seed: 1 })[0] as Answer
    for (let number = 0; number < 60; number++) {
      writer.add(number, { answer: plain, shape: shapeOf(number, 2_000) })
      const [[, heard] = []] = read(writer.take()) as [number, ToldAnswer][]
      if (heard?.shape !== undefined) told++
    }
    expect(told).toBeGreaterThan(50)
    // One that would take most of it is told to nobody.
    writer.add(1, { answer: plain, shape: shapeOf(99, 8_000) })
    const [[, heard] = []] = read(writer.take()) as [number, ToldAnswer][]
    expect(heard?.shape).toBeUndefined()
  })

  it('are refused with more constants of tests than there is room for', () => {
    const writer = new WireWriter()
    writer.text(3, 'x'.repeat(200))
    for (let number = 0; number < 30; number++) {
      const question = writer.open(6)
      writer.int32(1, 3)
      const test = writer.open(4)
      const texts = writer.open(2)
      for (let i = 0; i < 1_000; i++) writer.packedSint32(-1)
      writer.close(texts)
      writer.close(test)
      writer.close(question)
    }
    expect(() => reader()(writer.take())).toThrow('too many constants')
  })
})
