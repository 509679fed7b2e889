import { describe, expect, it } from 'vitest'
import { IntermixError } from '../../src/kernel/errors.ts'
import { ProcessLink } from '../../src/process/process-link.ts'
import { FakeClock } from '../helpers/clock.ts'
import { channelPair } from './channels.ts'

function links() {
  const clock = new FakeClock()
  const [left, right] = channelPair()
  return { clock, parent: new ProcessLink(left, clock), child: new ProcessLink(right, clock) }
}

describe('a link between two processes', () => {
  it('carries questions and answers both ways, several at a time', async () => {
    const { parent, child } = links()
    child.answer('double', async (value) => (value as number) * 2)
    parent.answer('bytes', (value) => Buffer.from(value as Uint8Array).toString())
    const answers = [parent.ask('double', 1, 10), parent.ask('double', 2, 10), child.ask('bytes', Buffer.from('b'), 10)]
    expect(await Promise.all(answers)).toEqual([2, 4, 'b'])
  })

  it('hands failures on with their code, and says what nobody answers to', async () => {
    const { parent, child } = links()
    child.answer('revoke', () => {
      throw new IntermixError('REDIS_UNAVAILABLE', 'Redis is away')
    })
    await expect(parent.ask('revoke', {}, 10)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: 'Redis is away',
    })
    await expect(parent.ask('else', {}, 10)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('waits no longer than it was told, and takes no late answer for another one', async () => {
    const { clock, parent, child } = links()
    const gate = Promise.withResolvers<string>()
    child.answer('slow', () => gate.promise)
    child.answer('quick', () => 'now')
    const slow = parent.ask('slow', undefined, 100)
    const failed = expect(slow).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    await clock.advance(101)
    await failed
    gate.resolve('late')
    expect(await parent.ask('quick', undefined, 100)).toBe('now')
  })

  it('tells without an answer, to the last who listens', async () => {
    const { parent, child } = links()
    const heard: unknown[] = []
    const end = child.answer('level', () => heard.push('first'))
    child.answer('level', (level) => heard.push(level))
    end()
    parent.tell('level', 'debug')
    parent.tell('unknown', 1)
    await parent.ask('level', 'info', 10)
    expect(heard).toEqual(['debug', 'info'])
  })
})
