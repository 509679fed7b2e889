// What a node of a later version says: what an earlier caller does not understand, it gives to nobody else.

import { beforeEach, describe, expect, it } from 'vitest'
import type { SeenRequest } from '../../../src/client/seen-request.ts'
import { seenRequest } from '../../../src/client/seen-request.ts'
import { MapBag } from '../../../src/kernel/attribute-bag.ts'
import { Code } from '../../../src/kernel/status.ts'
import { AnswerBatches, type ToldAnswer } from '../../../src/wire/batch/answer-batch.ts'
import type { NodeConfig } from '../../../src/wire/batch/news.ts'
import { WireWriter } from '../../../src/wire/wire-writer.ts'

type Write = (writer: WireWriter) => void

const WORDS = ['request.path', '/a', 'config-1', 'scope-1', 'g', 'hits', 'x-a']
const [PATH, PREFIX, CONFIG, SCOPE, GENERATION, HITS, HEADER] = WORDS.map((_, number) => number) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
]

describe('what a later version says over a batch stream', () => {
  let batches: AnswerBatches
  let answers: Map<number, ToldAnswer>
  let failures: Map<number, number>
  let config: NodeConfig | undefined

  beforeEach(() => {
    batches = new AnswerBatches()
    answers = new Map()
    failures = new Map()
    read((w) => {
      for (const word of WORDS) w.text(2, word)
    })
  })

  function read(write: Write): void {
    const writer = new WireWriter()
    write(writer)
    batches.read(writer.take(), {
      answered: (id, told) => void answers.set(id, told),
      failed: (id, { code }) => void failures.set(id, code),
      leaving: () => undefined,
      news: (news) => void (config = news.config),
    })
  }

  function within(writer: WireWriter, field: number, write: Write): void {
    const open = writer.open(field)
    write(writer)
    writer.close(open)
  }

  /** A test of the path. */
  const question = (test: Write) => (w: WireWriter) =>
    within(w, 6, () => {
      w.int32(1, 3)
      w.sint32(2, PATH, true)
      within(w, 4, test)
    })
  const prefix: Write = (w) => {
    w.int32(1, 1)
    within(w, 2, () => w.packedSint32(PREFIX))
  }
  /** One question of the number, answered like that. */
  const shape =
    (number: number, outcome = 3, more: Write = () => undefined): Write =>
    (w) =>
      within(w, 7, () => {
        w.sint32(1, CONFIG, true)
        w.sint32(2, SCOPE, true)
        within(w, 6, () => w.packedUint(number * 8 + outcome))
        more(w)
      })
  const answer =
    (id: number, number: number, more: Write = () => undefined): Write =>
    (w) =>
      within(w, 8, () => {
        w.uint(1, id)
        w.uint(7, 1_000)
        w.uint(8, 10)
        w.uint(13, number, true)
        w.sint32(14, GENERATION, true)
        more(w)
      })
  const all = (writes: readonly Write[]) =>
    read((w) => {
      for (const write of writes) write(w)
    })

  it('keeps the answer of what is understood', () => {
    all([question(prefix), shape(0), answer(1, 0)])
    expect(answers.get(1)?.shape).toMatchObject({
      config: 'config-1',
      reads: [{ outcome: 'true', question: { test: { op: 'prefix', text: '/a' } } }],
    })
  })

  it.each<[string, Write]>([
    ['a test of another kind', (w) => w.int32(1, 99)],
    [
      'a test that means something else by a new field',
      (w) => {
        prefix(w)
        w.uint(15, 1)
      },
    ],
    [
      'such a test in another one',
      (w) => {
        w.int32(1, 12)
        within(w, 6, (inner) => inner.int32(1, 99))
      },
    ],
  ])('gives an answer and keeps it for nobody that hangs on %s', (_, test) => {
    // The numbers of all that come behind it stay right.
    all([question(test), question(prefix), shape(0), shape(1), answer(1, 0), answer(2, 1)])
    expect(answers.get(1)).toMatchObject({ answer: { validForMs: 1_000 }, shape: undefined })
    expect(answers.get(2)?.shape?.reads).toMatchObject([{ question: { test: { op: 'prefix' } } }])
    expect(failures.size).toBe(0)
  })

  it('keeps nothing by a question of another kind, with a new field, or answered in a new way', () => {
    const other: Write = (w) => within(w, 6, () => w.int32(1, 9))
    const more: Write = (w) =>
      within(w, 6, () => {
        w.sint32(2, PATH, true)
        w.uint(9, 1)
      })
    all([other, more, question(prefix), shape(0), shape(1), shape(2, 6), shape(2, 3, (w) => w.uint(15, 1)), shape(2)])
    for (let id = 0; id < 5; id++) read(answer(id, id))
    expect(Array.from({ length: 5 }, (_, id) => answers.get(id)?.shape !== undefined)).toEqual([
      false,
      false,
      false,
      false,
      true,
    ])
    // What was never told is a fault, not a version.
    expect(() => read(answer(9, 5))).toThrow('unknown shape 5')
    expect(() => read(shape(7))).toThrow('no question has the number 7')
  })

  it('keeps an answer or a grant for nobody else where a new field may bind it, and passes over others', () => {
    const grant =
      (more: Write): Write =>
      (w) =>
        within(w, 17, () => {
          w.sint32(1, HITS, true)
          w.int64(4, 3)
          w.uint(6, 0, true)
          more(w)
        })
    all([question(prefix), shape(0)])
    read(answer(1, 0, (w) => w.uint(19, 1)))
    read(answer(2, 0, (w) => w.uint(25, 1)))
    read(
      answer(
        3,
        0,
        grant(() => undefined),
      ),
    )
    read(
      answer(
        4,
        0,
        grant((w) => w.uint(9, 1)),
      ),
    )
    expect(Array.from({ length: 4 }, (_, at) => answers.get(at + 1)?.shape !== undefined)).toEqual([
      false,
      true,
      true,
      true,
    ])
    expect(answers.get(3)?.grants.get('hits')).toMatchObject({ granted: 3, shape: { scope: 'scope-1' } })
    expect(answers.get(4)?.grants.get('hits')).toMatchObject({ granted: 3, shape: undefined })
  })

  it('asks another node where headers are to be changed in a new way', () => {
    const change: Write = (w) =>
      within(w, 9, () => {
        w.packedSint32(HEADER)
        w.packedSint32(PREFIX)
        w.packedSint32(7)
      })
    read((w) =>
      within(w, 4, () => {
        w.uint(1, 1)
        change(w)
      }),
    )
    all([question(prefix), shape(0), answer(2, 0)])
    expect([...failures]).toEqual([[1, Code.UNIMPLEMENTED]])
    expect(answers.get(2)?.shape).toBeDefined()
  })

  it('keeps nothing while nodes read requests in a way that is not known here', () => {
    const seen = (more: Write): SeenRequest => {
      read((w) =>
        within(w, 9, () => {
          w.uint(1, 1)
          within(w, 8, () => {
            w.sint32(1, CONFIG, true)
            w.bool(2, true)
            more(w)
          })
        }),
      )
      const choice = { affinity: [], tenant: { name: 'destination.namespace', key: undefined } }
      return seenRequest(MapBag.of({ 'request.path': '/a' }), 'all', { choice, nodes: { config: () => config } })
    }
    expect(seen(() => undefined).wanted).toMatchObject({ config: 'config-1' })
    expect(seen((w) => w.uint(15, 1)).wanted).toBeUndefined()
  })

  it('passes over what else is new', () => {
    read((w) => {
      w.text(15, 'new')
      within(w, 9, () => {
        w.uint(1, 1)
        w.text(15, 'new')
      })
    })
    expect([answers.size, failures.size]).toEqual([0, 0])
  })
})
