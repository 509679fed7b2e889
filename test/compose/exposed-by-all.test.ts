import { describe, expect, it } from 'vitest'
import type { ExposedPart } from '../../src/adapter-kit/exposed-part.ts'
import { piecesOf, partsOf } from '../../src/adapter-kit/exposed-part.ts'
import { exposedByAll } from '../../src/compose/exposed-by-all.ts'
import type { Siblings } from '../../src/kernel/siblings.ts'

type Reply = (question: unknown) => unknown

/** Processes that ask each other; what is asked and answered is copied, as between processes. */
class Node {
  readonly #replies = new Map<string, Map<string, Reply>>()
  readonly sizes: number[] = []

  process(name: string): Siblings {
    return {
      ask: async (topic, question) => {
        const others = [...(this.#replies.get(topic) ?? [])].filter(([other]) => other !== name)
        const answers = await Promise.all(
          others.map(
            async ([other, reply]) => [other, structuredClone(await reply(structuredClone(question)))] as const,
          ),
        )
        this.sizes.push(...answers.map(([, answer]) => JSON.stringify(answer ?? '').length))
        return { answers: new Map(answers), silent: [] }
      },
      answer: (topic, reply) => {
        const replies = this.#replies.get(topic) ?? new Map<string, Reply>()
        this.#replies.set(topic, replies.set(name, reply))
        return () => replies.delete(name)
      },
    }
  }
}

const exposed = (process: number, pieces: number): readonly ExposedPart[] =>
  ['a', 'b'].map((key) => ({
    key,
    head: `# ${key}\n`,
    body: Array.from({ length: pieces }, (_, i) => `${key}{worker="${process}"} ${i} ${'x'.repeat(20_000)}\n`),
  }))

describe('what all processes of a node expose', () => {
  it('is whole and in order at each of them, and goes between them in pages', async () => {
    const node = new Node()
    // One has much to say, one has little, one nothing.
    const offers = [50, 1, 0].map((pieces, i) =>
      exposedByAll('metrics', () => exposed(i, pieces), node.process(`${i}`)),
    )
    for (const offer of offers) {
      const text = piecesOf(partsOf(await offer.render())).join('')
      const lines = text.split('\n').map((line) => line.slice(0, 20))
      expect(lines.filter((line) => line.startsWith('#'))).toEqual(['# a', '# b'])
      for (const [process, pieces] of [50, 1, 0].entries()) {
        for (const key of ['a', 'b']) {
          const found = lines.filter((line) => line.startsWith(`${key}{worker="${process}"}`))
          expect(found.map((line) => Number(line.split(' ')[1]))).toEqual([...Array(pieces).keys()])
        }
      }
    }
    expect(Math.max(...node.sizes)).toBeLessThan(400_000)
    expect(node.sizes.filter((size) => size > 100_000).length).toBeGreaterThan(5)
  })

  it('is without a process that has ended its offer', async () => {
    const node = new Node()
    const [one, two] = [0, 1].map((i) => exposedByAll('metrics', () => exposed(i, 1), node.process(`${i}`)))
    two?.end()
    const text = piecesOf(partsOf((await one?.render()) ?? '')).join('')
    expect(text).not.toContain('worker="1"')
  })
})
