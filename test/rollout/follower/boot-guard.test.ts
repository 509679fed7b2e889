import { describe, expect, it } from 'vitest'
import { BootGuard, type RecordsStore } from '../../../src/rollout/follower/boot-guard.ts'
import { NO_RECORDS, readRecords } from '../../../src/rollout/follower/records.ts'
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

const CANDIDATE = { version: idOf('candidate'), rollout: 'try-1' }
const STABLE = { version: idOf('stable'), rollout: '' }

describe('a version that a process does not outlive', () => {
  it('is bad at the third start, when two have not led to a proof', () => {
    const kept = disk()
    expect(new BootGuard(kept).begin(CANDIDATE)).toBe(true)
    expect(new BootGuard(kept).begin(CANDIDATE)).toBe(true)
    const guard = new BootGuard(kept)
    expect(guard.begin(CANDIDATE)).toBe(false)
    expect(guard.isBad(CANDIDATE)).toBe(true)
    expect(kept.records).toMatchObject({ boot: undefined, bad: [{ ...CANDIDATE, isTold: false }] })
  })

  it('is bad at once when an error ended the process', () => {
    const kept = disk()
    const guard = new BootGuard(kept)
    guard.begin(CANDIDATE)
    guard.crashed(new Error('the third request'), undefined)
    expect(new BootGuard(kept).begin(CANDIDATE)).toBe(false)
    expect(kept.records.bad[0]?.reason).toContain('the third request')
  })

  it('is bad, too, when it had proved itself and was still a candidate', () => {
    const guard = new BootGuard(disk())
    guard.begin(CANDIDATE)
    guard.confirm(CANDIDATE.version)
    guard.crashed(new Error('late'), CANDIDATE)
    expect(guard.isBad(CANDIDATE)).toBe(true)
  })

  it('may be tried again in another rollout', () => {
    const guard = new BootGuard(disk())
    guard.reject(CANDIDATE, 'no')
    expect(guard.begin(CANDIDATE)).toBe(false)
    expect(guard.begin({ ...CANDIDATE, rollout: 'try-2' })).toBe(true)
  })

  it('is told of once', () => {
    const guard = new BootGuard(disk())
    guard.reject(CANDIDATE, 'no')
    guard.told(CANDIDATE)
    expect(guard.records.bad).toEqual([{ ...CANDIDATE, reason: 'no', isTold: true }])
  })
})

describe('a version that a process serves well by', () => {
  it('is not kept from it by starts that fail for other reasons', () => {
    const kept = disk()
    const guard = new BootGuard(kept)
    guard.begin(STABLE)
    guard.confirm(STABLE.version)
    for (let start = 0; start < 5; start++) expect(new BootGuard(kept).begin(STABLE)).toBe(true)
    guard.crashed(new Error('whatever'), undefined)
    expect(guard.isBad(STABLE)).toBe(false)
  })

  it('does not count starts that were ended in good order', () => {
    const kept = disk()
    for (let start = 0; start < 5; start++) {
      const guard = new BootGuard(kept)
      expect(guard.begin(CANDIDATE)).toBe(true)
      guard.ended()
    }
  })

  it('is what a start without Redis runs, and the one before it behind that', () => {
    const guard = new BootGuard(disk())
    for (const name of ['a', 'b', 'c']) guard.confirm(idOf(name))
    expect(guard.lastGood()).toEqual([idOf('c'), idOf('b')])
    expect(guard.lastGood(idOf('c'))).toEqual([idOf('b')])
    guard.stableIs(idOf('d'))
    expect(guard.lastGood()).toEqual([idOf('c'), idOf('b'), idOf('d')])
  })
})

describe('records', () => {
  it.each([null, [], 'x', { confirmed: 'x', boot: 7, bad: [{}], stable: '../x' }, { confirmed: ['../../etc'] }])(
    'that make no sense are none: %j',
    (json) => expect(readRecords(json)).toEqual(NO_RECORDS),
  )

  it('are bounded', () => {
    const guard = new BootGuard(undefined)
    for (let n = 0; n < 100; n++) guard.reject({ version: idOf(`v${n}`), rollout: '' }, 'x'.repeat(10_000))
    expect(guard.records.bad).toHaveLength(8)
    expect(JSON.stringify(guard.records).length).toBeLessThan(10_000)
  })
})
