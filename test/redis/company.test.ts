import { expect, it } from 'vitest'
import { departing, inCompany } from '../../src/redis/company.ts'
import type { RedisLink } from '../../src/redis/connection.ts'
import { FakeClock } from '../helpers/clock.ts'

const link = () => ({}) as RedisLink

it('what may wait goes along with what is sent next once it is due, and only over the same link', async () => {
  const clock = new FakeClock()
  const [one, other] = [link(), link()]
  const ran: number[] = []
  const again = () => inCompany(one, clock, 1_000, () => void (ran.push(clock.monotonic()), again()))
  again()
  await clock.advance(990)
  departing(one)
  await clock.advance(60)
  departing(other)
  expect(ran).toEqual([])
  departing(one)
  departing(one)
  expect(ran).toEqual([1_050])
  expect(clock.pending).toBe(1)
})

it('what nobody keeps company goes alone, a fifth of its time later', async () => {
  const clock = new FakeClock()
  const ran: number[] = []
  inCompany(link(), clock, 1_000, () => ran.push(clock.monotonic()))
  await clock.advance(5_000)
  expect(ran).toEqual([1_200])
})

it('what was ended runs no more', async () => {
  const clock = new FakeClock()
  const one = link()
  const cancel = inCompany(one, clock, 1_000, () => expect.fail('it was ended'))
  cancel()
  await clock.advance(5_000)
  departing(one)
  expect(clock.pending).toBe(0)
})
