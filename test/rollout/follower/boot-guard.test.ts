import { describe, expect, it } from 'vitest'
import { BootGuard, type RecordsStore } from '../../../src/rollout/follower/boot-guard.ts'
import { NO_RECORDS, readRecords } from '../../../src/rollout/follower/records.ts'
import { FakeClock } from '../../helpers/clock.ts'
import { idOf } from '../support.ts'

/** Records that outlive guards, as a disk keeps them. */
function disk(): RecordsStore {
  let text = JSON.stringify(NO_RECORDS)
  return {
    get records() {
      return readRecords(JSON.parse(text))
    },
    write(records) {
      text = JSON.stringify(records)
    },
  }
}

const clock = new FakeClock()
const CANDIDATE = { version: idOf('candidate'), rollout: 'try-1' }
const STABLE = { version: idOf('stable'), rollout: '' }

describe('a version that a process does not outlive', () => {
  it('is bad at the third start, when two have not led to a proof', () => {
    const kept = disk()
    expect(new BootGuard(kept, clock).begin(CANDIDATE)).toBe(true)
    expect(new BootGuard(kept, clock).begin(CANDIDATE)).toBe(true)
    const guard = new BootGuard(kept, clock)
    expect(guard.begin(CANDIDATE)).toBe(false)
    expect(guard.isBad(CANDIDATE)).toBe(true)
    expect(kept.records).toMatchObject({ boot: undefined, bad: [{ ...CANDIDATE, isTold: false }] })
  })

  it('is bad at once when an error ended the process', () => {
    const kept = disk()
    const guard = new BootGuard(kept, clock)
    guard.begin(CANDIDATE)
    guard.crashed(new Error('the third request'), undefined)
    expect(new BootGuard(kept, clock).begin(CANDIDATE)).toBe(false)
    expect(kept.records.bad[0]?.reason).toContain('the third request')
  })

  it('is bad, too, when it had proved itself and was still a candidate', () => {
    const guard = new BootGuard(disk(), clock)
    guard.begin(CANDIDATE)
    guard.confirm(CANDIDATE.version)
    guard.crashed(new Error('late'), CANDIDATE)
    expect(guard.isBad(CANDIDATE)).toBe(true)
  })

  it('may be tried again in another rollout', () => {
    const guard = new BootGuard(disk(), clock)
    guard.reject(CANDIDATE, 'no')
    expect(guard.begin(CANDIDATE)).toBe(false)
    expect(guard.begin({ ...CANDIDATE, rollout: 'try-2' })).toBe(true)
  })

  it('is told of once', () => {
    const guard = new BootGuard(disk(), clock)
    guard.reject(CANDIDATE, 'no')
    guard.told(CANDIDATE)
    expect(guard.records.bad).toMatchObject([{ ...CANDIDATE, reason: 'no', isTold: true }])
  })
})

describe('a version that a process serves well by', () => {
  it('is not kept from it by starts that fail for other reasons', () => {
    const kept = disk()
    const guard = new BootGuard(kept, clock)
    guard.begin(STABLE)
    guard.confirm(STABLE.version)
    for (let start = 0; start < 5; start++) expect(new BootGuard(kept, clock).begin(STABLE)).toBe(true)
    guard.crashed(new Error('whatever'), undefined)
    expect(guard.isBad(STABLE)).toBe(false)
  })

  it('does not count starts that were ended in good order', () => {
    const kept = disk()
    for (let start = 0; start < 5; start++) {
      const guard = new BootGuard(kept, clock)
      expect(guard.begin(CANDIDATE)).toBe(true)
      guard.ended()
    }
  })

  it('is what a start without Redis runs, and the one before it behind that', () => {
    const guard = new BootGuard(disk(), clock)
    for (const name of ['a', 'b', 'c']) guard.confirm(idOf(name))
    expect(guard.lastGood()).toEqual([idOf('c'), idOf('b')])
    expect(guard.lastGood(idOf('c'))).toEqual([idOf('b')])
    guard.stableIs(idOf('d'))
    expect(guard.lastGood()).toEqual([idOf('c'), idOf('b'), idOf('d')])
  })
})

describe('the stable version of the mesh', () => {
  const MINUTE = 60_000

  /** Starts with it, and is killed. @returns whether it was tried */
  const killed = (kept: RecordsStore) => new BootGuard(kept, clock).begin(STABLE)

  it('is tried again where the process was killed while it started with it, later each time', async () => {
    const kept = disk()
    expect([killed(kept), killed(kept), killed(kept)]).toEqual([true, true, false])
    for (const minutes of [5, 10, 20, 40, 60, 60]) {
      await clock.advance(minutes * MINUTE - 1)
      expect(killed(kept)).toBe(false)
      await clock.advance(1)
      // Once is enough now.
      expect([killed(kept), killed(kept)]).toEqual([true, false])
    }
    expect(kept.records.bad).toMatchObject([{ times: 7, reason: expect.stringContaining('once more') as string }])
  })

  it('is well again where the process serves well by it', async () => {
    const kept = disk()
    for (let n = 0; n < 3; n++) killed(kept)
    await clock.advance(5 * MINUTE)
    const guard = new BootGuard(kept, clock)
    expect([guard.isAgain(STABLE), guard.begin(STABLE)]).toEqual([true, true])
    guard.confirm(STABLE.version)
    expect([guard.records.bad, guard.isAgain(STABLE)]).toEqual([[], false])
  })

  it('is well again, too, where it had proved itself before', async () => {
    const guard = new BootGuard(disk(), clock)
    guard.confirm(STABLE.version)
    guard.reject(STABLE, 'a file was not there')
    await clock.advance(5 * MINUTE)
    expect([guard.begin(STABLE), guard.isConfirmed(STABLE.version)]).toEqual([true, false])
    guard.confirm(STABLE.version)
    expect([guard.isConfirmed(STABLE.version), guard.records.bad]).toEqual([true, []])
  })

  it('is told of once, so that no later vote of this process is lost', async () => {
    const guard = new BootGuard(disk(), clock)
    guard.reject(STABLE, 'no')
    guard.told(STABLE)
    await clock.advance(5 * MINUTE)
    guard.reject(STABLE, 'again')
    expect(guard.records.bad).toMatchObject([{ reason: 'again', isTold: true, times: 2 }])
  })

  it('is not held for bad by records of another release, or by a clock that was set back', () => {
    const kept = disk()
    kept.write(readRecords({ bad: [{ ...STABLE, reason: 'x', isTold: true }] }))
    expect(new BootGuard(kept, clock).isBad(STABLE)).toBe(false)
    new BootGuard(kept, clock).reject(STABLE, 'no')
    expect(new BootGuard(kept, clock).isBad(STABLE)).toBe(true)
    expect(new BootGuard(kept, new FakeClock(clock.now() - MINUTE)).isBad(STABLE)).toBe(false)
  })
})

describe('records', () => {
  it.each([null, [], 'x', { confirmed: 'x', boot: 7, bad: [{}], stable: '../x' }, { confirmed: ['../../etc'] }])(
    'that make no sense are none: %j',
    (json) => expect(readRecords(json)).toEqual(NO_RECORDS),
  )

  it('are bounded', () => {
    const guard = new BootGuard(undefined, clock)
    for (let n = 0; n < 100; n++) guard.reject({ version: idOf(`v${n}`), rollout: '' }, 'x'.repeat(10_000))
    expect(guard.records.bad).toHaveLength(8)
    expect(JSON.stringify(guard.records).length).toBeLessThan(10_000)
  })
})
