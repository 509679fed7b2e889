// A program may change its attributes as soon as `check` has returned, whatever goes on in the background.

import { expect, it } from 'vitest'
import { Revocations } from '../../../src/cache/revocations.ts'
import { stepOf } from '../../../src/cache/read-step.ts'
import { attributePath } from '../../../src/client/affinity.ts'
import { FirstLevelCheck } from '../../../src/client/first-level-check.ts'
import { withOwnQuestions } from '../../../src/client/library/own-questions.ts'
import type { NodeAnswer, Nodes } from '../../../src/client/nodes/nodes.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { ReadableMeter } from '../../redis/support.ts'
import { answerOf } from '../../server/fixtures.ts'
import { testClient } from './support.ts'

const LIFE_MS = 10_000
const QUESTION = { kind: 'key', name: 'request.headers', key: 'x-user' } as const

it('what is refreshed is kept for the request that it is about, and for no other', async () => {
  const clock = new FakeClock()
  const askedAbout: string[] = []
  const held: Promise<void>[] = []
  const vocabulary = new Map([['request.headers', 'STRING_MAP']] as const)
  const config = { id: 'c', vocabulary, normalizes: true, allowedAmbiguities: new Set<never>() }
  // Allows amy alone.
  const nodes: Nodes = {
    async ask({ bag }): Promise<NodeAnswer> {
      const user = stepOf(QUESTION)?.answer(bag).value ?? ''
      askedAbout.push(user)
      await held.at(-1)
      const status = user === 's3:amy' ? { code: 0, message: '' } : { code: 7, message: 'no' }
      const shape = {
        config: 'c',
        scope: 's',
        handlers: ['h'],
        generated: [],
        epoch: { generation: 'local', sequence: 0 },
        choosing: [],
        reads: [{ id: stepOf(QUESTION)?.id ?? '', question: QUESTION, outcome: 'present' as const }],
      }
      const answer = answerOf({ status, validForMs: LIFE_MS })
      return { answer, shape, staleForMs: 0, isPaid: false, grants: new Map() }
    },
    config: () => config,
    maxAgeMs: () => Number.POSITIVE_INFINITY,
    call: () => Promise.reject(new Error('not served')),
  }
  const check = new FirstLevelCheck({
    nodes: withOwnQuestions(nodes),
    revocations: new Revocations(),
    clock,
    random: () => 0.5,
    meter: new ReadableMeter(),
    maxEntries: 100,
    maxBytes: 1_000_000,
    choice: { affinity: [attributePath('request.headers[x-user]')], tenant: undefined },
    refreshesPerSecond: 100,
  })
  const { client } = testClient({ check, clock })
  const headers = { 'x-user': 'amy' }
  let copies = 0
  const ownKeys = (given: object) => {
    copies++
    return Reflect.ownKeys(given)
  }
  const request = new Proxy<Record<string, typeof headers>>({ 'request.headers': headers }, { ownKeys })
  expect((await client.check(request)).allowed).toBe(true)
  // For the question, and for who changes the request while it waits: together.
  expect(copies).toBe(1)
  await clock.advance(LIFE_MS * 0.95)
  const { promise, resolve } = Promise.withResolvers<void>()
  held.push(promise)
  expect(client.check(request)).toMatchObject({ allowed: true })
  expect(askedAbout).toEqual(['s3:amy', 's3:amy'])
  headers['x-user'] = 'eve'
  resolve()
  await clock.advance(LIFE_MS * 0.1)
  expect((await client.check({ 'request.headers': { 'x-user': 'eve' } })).allowed).toBe(false)
  expect(client.check({ 'request.headers': { 'x-user': 'amy' } })).toMatchObject({ allowed: true })
  expect(askedAbout).toEqual(['s3:amy', 's3:amy', 's3:eve'])
})
