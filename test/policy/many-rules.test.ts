import { describe, expect, it } from 'vitest'
import { Code } from '../../src/kernel/status.ts'
import { Backends, object, serve } from '../properties/mixer-defects/node.ts'

const RULES = 10_000

describe('many rules that no index serves', () => {
  it('are answered rightly, every one of them', async () => {
    const rules = Array.from({ length: RULES }, (_, i) =>
      object('rule', `r${i}`, `{match: 'a.startsWith("/${i}/")', actions: [{handler: deny, instances: [nothing]}]}`),
    )
    const node = await serve(
      new Backends(),
      object('handler', 'deny', '{compiledAdapter: denier}'),
      object('instance', 'nothing', '{compiledTemplate: checknothing}'),
      ...rules,
    )
    // Each path twice: what was stored of the first answer must neither break nor change the second.
    for (let i = 0; i < 40; i++) {
      const number = (i * 249) % (RULES * 2)
      const expected = number < RULES ? Code.FAILED_PRECONDITION : Code.OK
      for (let round = 0; round < 2; round++) {
        const { status } = await node.check({ a: `/${number}/x` })
        expect([number, status.code]).toEqual([number, expected])
      }
    }
  })

  it('that all deny are told of in a message that fits into a header', async () => {
    const rules = Array.from({ length: 1_000 }, (_, i) =>
      object('rule', `r${i}`, `{match: 'a.startsWith("/")', actions: [{handler: deny${i}, instances: [nothing]}]}`),
    )
    const handlers = rules.map((_, i) => object('handler', `deny${i}`, '{compiledAdapter: denier}'))
    const nothing = object('instance', 'nothing', '{compiledTemplate: checknothing}')
    const { message } = (await (await serve(new Backends(), nothing, ...handlers, ...rules)).check({ a: '/' })).status
    expect(message.length).toBeLessThan(4_200)
    const told = message.split(', ')
    expect(told.at(-1)).toBe(`and ${1_000 - (told.length - 1)} more`)
    expect(told[0]).toContain('deny0.handler')
  })
})
