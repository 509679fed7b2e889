// What a parent does with one of its processes; real ones are in test/whole/processes.test.ts.
import { describe, expect, it } from 'vitest'
import { NodeProcess, type EndReason, type ProcessEnd } from '../../src/process/node-process.ts'
import { ProcessLink } from '../../src/process/process-link.ts'
import { type Announcement, HEALTH, START, START_FAILED, STARTED, STOP } from '../../src/process/process-messages.ts'
import { readSettings, type Settings } from '../../src/settings/settings.ts'
import { FakeClock } from '../helpers/clock.ts'
import { KeptLog } from '../redis/support.ts'
import { channelPair } from './channels.ts'

const health = { ready: true, checks: [], config: 'c1' }
const announcement: Announcement = { addresses: {}, views: [], operations: [], health }

function settingsOf(): Settings {
  const argv = ['--config=examples', '--redis=none', '--node-id=n', '--processes=2', '--cache-max-entries=1001']
  const result = readSettings('node', argv, {})
  if ('problems' in result) throw new Error(result.problems.join('\n'))
  return result.settings
}

/** A process of which the test plays the other side. */
function setUp({ answersHealth = true } = {}) {
  const clock = new FakeClock()
  const reasons: EndReason[] = []
  const children: { link: ProcessLink; end: (end: Partial<ProcessEnd>) => void; killed: string[] }[] = []
  const orders: Settings[] = []
  const state = { answersHealth }
  const created = new NodeProcess({
    number: 2,
    nodeId: 'n',
    clock,
    log: new KeptLog(),
    siblings: () => undefined,
    onStarted: () => {},
    onEnded: (reason) => reasons.push(reason),
    spawn() {
      const [ours, theirs] = channelPair()
      const ended = Promise.withResolvers<ProcessEnd>()
      const link = new ProcessLink(theirs, clock)
      const killed: string[] = []
      const end = (how: Partial<ProcessEnd>) => ended.resolve({ code: undefined, signal: undefined, ...how })
      link.answer(START, (settings) => orders.push(settings as Settings))
      link.answer(HEALTH, () => (state.answersHealth ? health : new Promise(() => {})))
      children.push({ link, end, killed })
      const kill = (signal: string) => {
        killed.push(signal)
        end({ signal })
      }
      return { pid: 100 + children.length, channel: ours, ended: ended.promise, kill }
    },
  })
  const child = (at: number) => {
    const found = children[at]
    if (found === undefined) throw new Error(`no process was started for the ${at + 1}th time`)
    return found
  }
  return { clock, created, child, children, reasons, orders, state }
}

describe('a process of a node', () => {
  it('gets its part of what bounds the node, and serves when it says so', async () => {
    const { clock, created, child, orders } = setUp()
    const first = created.start(settingsOf(), true)
    await clock.advance(0)
    expect(orders[0]).toMatchObject({ nodeId: 'n-2', process: 2, cacheMaxEntries: 501 })
    child(0).link.tell(STARTED, announcement)
    expect(await first).toEqual(announcement)
    expect([created.state, created.pid]).toEqual(['serving', 101])
  })

  it('is started again after it ended, later each time, and counted by reason', async () => {
    const { clock, created, child, children, reasons } = setUp()
    void created.start(settingsOf(), true)
    child(0).link.tell(STARTED, announcement)
    await clock.advance(0)
    child(0).end({ signal: 'SIGSEGV' })
    await clock.advance(499)
    expect([children.length, created.state]).toEqual([1, 'away'])
    await clock.advance(1)
    child(1).link.tell(START_FAILED, 'the config is wrong')
    await clock.advance(0)
    child(1).end({ code: 1 })
    await clock.advance(0)
    expect(created.failure).toBe('the config is wrong')
    await clock.advance(1_000)
    child(2).link.tell(STARTED, announcement)
    await clock.advance(0)
    child(2).end({ code: 0 })
    await clock.advance(2_000)
    expect(children).toHaveLength(4)
    expect(reasons).toEqual(['crash', 'start', 'signal'])
  })

  it('is not started again where it could not start at first, and only one try was wanted', async () => {
    const { clock, created, child, children } = setUp()
    const first = created.start(settingsOf(), false)
    child(0).link.tell(START_FAILED, 'no such folder')
    await clock.advance(0)
    child(0).end({ code: 2 })
    expect(await first).toEqual({ failed: 'no such folder', code: 2 })
    await clock.advance(60_000)
    expect(children).toHaveLength(1)
  })

  it('is silent when it does not answer, killed when it never does, and started again', async () => {
    const { clock, created, child, children, reasons, state } = setUp()
    void created.start(settingsOf(), true)
    child(0).link.tell(STARTED, announcement)
    await clock.advance(1_000)
    state.answersHealth = false
    await clock.advance(4_000)
    expect(created.state).toBe('silent')
    state.answersHealth = true
    await clock.advance(2_000)
    expect(created.state).toBe('serving')
    state.answersHealth = false
    await clock.advance(29_000)
    expect(child(0).killed).toEqual([])
    await clock.advance(5_000)
    expect(child(0).killed).toEqual(['SIGKILL'])
    expect(reasons).toEqual(['silent'])
    expect(children).toHaveLength(2)
  })

  it('is killed where it does not end in time, and not started again', async () => {
    const { clock, created, child, children } = setUp()
    void created.start(settingsOf(), true)
    const told: string[] = []
    child(0).link.answer(STOP, () => told.push('stop'))
    await clock.advance(0)
    const stopped = created.stop(3_000)
    await clock.advance(2_999)
    expect([told, child(0).killed]).toEqual([['stop'], []])
    await clock.advance(1)
    expect(await stopped).toBe(false)
    await clock.advance(60_000)
    expect([child(0).killed, children.length]).toEqual([['SIGKILL'], 1])
  })

  it('ends well where it does by itself', async () => {
    const { clock, created, child } = setUp()
    void created.start(settingsOf(), true)
    child(0).link.answer(STOP, () => child(0).end({ code: 0 }))
    await clock.advance(0)
    const stopped = created.stop(3_000)
    await clock.advance(0)
    expect(await stopped).toBe(true)
  })
})
