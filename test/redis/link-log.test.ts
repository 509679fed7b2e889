import { describe, expect, it } from 'vitest'
import { LinkLog } from '../../src/redis/link-log.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog, ReadableMeter } from './support.ts'

function told() {
  const [clock, log, meter] = [new FakeClock(), new KeptLog(), new ReadableMeter()]
  const link = new LinkLog({ role: 'cache', url: 'redis://a', clock, log, meter })
  return { clock, log, meter, link }
}

describe('the log of a link', () => {
  it('tells each change with its reason, and each further reason once', () => {
    const { link, log } = told()
    link.set('down', 'nobody listens')
    link.set('down', 'nobody listens')
    link.set('down', 'it loads')
    link.set('down', 'nobody listens')
    link.set('up', undefined)
    expect(log.lines.map((line) => line.replace(/ \{.*"reason":/, ' {'))).toEqual([
      'warn Redis is down: going on without it {"nobody listens"}',
      'warn Redis is down: what is known of it {"it loads"}',
      'info Redis is up {"redis":"cache","url":"redis://a"}',
    ])
  })

  it('tells once that a Redis comes and goes, and once when it is steady', async () => {
    const { link, log, clock, meter } = told()
    link.set('up', undefined)
    for (let times = 0; times < 20; times++) {
      await clock.advance(1_000)
      link.set('down', 'it does not answer')
      await clock.advance(1_000)
      link.set('up', undefined)
    }
    expect(log.lines).toEqual([
      expect.stringMatching(/^info Redis is up/),
      expect.stringMatching(/^warn Redis is down: going on.*does not answer/),
      expect.stringMatching(/^info Redis is up/),
      expect.stringMatching(/^warn Redis comes and goes.*does not answer.*"changes":3/),
    ])
    await clock.advance(30_000)
    expect(log.lines.slice(4)).toEqual([expect.stringMatching(/^info Redis is steady again: it is up.*"changes":40/)])
    expect(meter.value('redis_state_changes_total', 'cache', 'down')).toBe(20)
    // The next change is one of its own again.
    link.set('down', 'nobody listens')
    expect(log.lines.at(-1)).toMatch(/^warn Redis is down: going on without it/)
  })

  it('says with what it ended up down', async () => {
    const { link, log, clock } = told()
    link.set('up', undefined)
    for (const state of ['down', 'up', 'down'] as const)
      link.set(state, state === 'down' ? 'nobody listens' : undefined)
    await clock.advance(30_000)
    expect(log.lines.at(-1)).toMatch(/^warn Redis is steady again: it is down.*nobody listens/)
  })

  it('takes changes that lie far apart for changes', async () => {
    const { link, log, clock } = told()
    for (const state of ['up', 'down', 'up', 'down', 'up'] as const) {
      link.set(state, undefined)
      await clock.advance(16_000)
    }
    expect(log.lines.filter((line) => line.includes('comes and goes'))).toEqual([])
  })
})
