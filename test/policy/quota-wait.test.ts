// An answer with quotas waits for them, and its life goes on meanwhile.

import { expect, it } from 'vitest'
import { allow, Backends, listEntry, object, scripted, serve } from '../properties/mixer-defects/node.ts'

it.each([
  ['named', new Map([['q', { amount: 1, bestEffort: false }]])],
  ['of rules', new Map()],
])('counts the wait for quotas as age (%s)', async (_name, quotas) => {
  const backends = new Backends()
  const node = await serve(
    backends,
    scripted('h'),
    listEntry('i', 'a'),
    object('instance', 'q', '{compiledTemplate: quota}'),
    object('rule', 'r', '{actions: [{handler: h, instances: [i, q]}]}'),
  )
  backends.checks.set('h', () => allow(1_000))
  backends.quotas.set('h', async () => {
    await new Promise<void>((resolve) => node.clock.after(150, resolve))
    return { status: { code: 0, message: '' }, granted: 1, validForMs: 0 }
  })
  const pending = node.outcome({ a: 'x' }, { quotas })
  await node.clock.advance(150)
  const { answer } = await pending
  expect(answer.ageMs).toBe(150)
  expect(answer.validForMs).toBeLessThanOrEqual(850)
  // Times are seldom whole: what is lost of them must make nothing younger.
  await node.clock.advance(5_000.75)
  const next = node.outcome({ a: 'x' }, { quotas })
  await node.clock.advance(150.25)
  expect((await next).answer.ageMs).toBeGreaterThanOrEqual(150.25)
})
