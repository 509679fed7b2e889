import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FEW_CALLS, INTERVAL_MS, TARGET_MS } from '../../src/server/admission.ts'
import { seededRandom } from '../../load/random.ts'
import { fill, handAdmission, overload } from './admission-support.ts'

const FOR_EVER = Number.POSITIVE_INFINITY

describe('admission', () => {
  it('lets everything in while turns are short, however many calls they have', () => {
    const { admission, loop } = handAdmission()
    for (let turn = 0; turn < 1_000; turn++) {
      expect(fill(admission, 100)).toBe(100)
      loop.endTurn(TARGET_MS - 1)
    }
    expect(admission.overloaded).toBe(false)
  })

  it('takes a burst that is worked off within the interval', () => {
    const { admission, loop } = handAdmission()
    fill(admission, 100)
    loop.endTurn(10)
    // A call took a tenth of a millisecond, and no turn takes in more than the interval.
    expect(fill(admission, 2_000)).toBe(INTERVAL_MS / 0.1)
    expect(admission.overloaded).toBe(false)
  })

  it('knows a standing queue by turns that stay long, and then keeps them to the target, refusing the newest', () => {
    const setting = handAdmission()
    overload(setting, 0.5)
    const { admission, loop } = setting
    expect(admission.overloaded).toBe(true)
    loop.endTurn()
    // Calls of half a millisecond: some of them are let in although they take longer than the target.
    expect(fill(admission, 1_000)).toBe(64)
    loop.endTurn(60)
    for (let turn = 0; turn < 200; turn++) {
      fill(admission, 1_000)
      loop.endTurn(40)
    }
    // A thousand calls in 40 ms: now a call is known to be cheap, and turns are worth a quarter of what they take.
    const each = 40 / (1_000 / 4)
    expect(fill(admission, 1_000)).toBeLessThan((1.5 * 40) / 4 / each)
    expect(admission.overloaded).toBe(true)
  })

  it('has the patience that it is given', () => {
    // A processor that others have most of the time: turns of a few calls take long.
    const shared = (setting: ReturnType<typeof handAdmission>) => {
      let refused = 0
      for (let turn = 0; turn < 100; turn++) {
        refused += 80 - fill(setting.admission, 80)
        setting.loop.endTurn(40)
      }
      return refused
    }
    expect(shared(handAdmission())).toBeGreaterThan(0)
    const patient = handAdmission({ patience: { targetMs: 50, intervalMs: 500 } })
    expect(shared(patient)).toBe(0)
    // A queue that stands for longer is known all the same.
    for (let turn = 0; turn < 10; turn++) {
      fill(patient.admission, 1_000)
      patient.loop.endTurn(200)
    }
    expect(patient.admission.overloaded).toBe(true)
    expect(fill(patient.admission, 1_000)).toBeLessThan(500)
  })

  it('is calm again after a rest, or after a short turn that had to refuse nobody', () => {
    const rested = handAdmission()
    overload(rested)
    rested.loop.rest(1)
    fill(rested.admission, 1)
    expect(rested.admission.overloaded).toBe(false)

    const short = handAdmission()
    overload(short)
    fill(short.admission, 1_000)
    short.loop.endTurn(1)
    expect(short.admission.overloaded).toBe(true)
    fill(short.admission, 20)
    short.loop.endTurn(1)
    expect(short.admission.overloaded).toBe(false)
  })

  it('does not take long turns with rests between them for a queue', () => {
    const { admission, loop } = handAdmission()
    for (let turn = 0; turn < 100; turn++) {
      fill(admission, 20)
      loop.endTurn(TARGET_MS * 3)
      loop.rest(2)
    }
    expect(admission.overloaded).toBe(false)
  })

  it('does not shed few calls, however slow the process is', () => {
    const { admission, loop } = handAdmission()
    for (let turn = 0; turn < 100; turn++) {
      expect(fill(admission, FEW_CALLS - 1)).toBe(FEW_CALLS - 1)
      loop.endTurn(INTERVAL_MS * 2)
    }
    expect(admission.overloaded).toBe(false)
    expect(admission.door('a', 'report').admit(FOR_EVER)).toBeUndefined()
  })

  it('does not shed checks of a door that cannot have more waiting than are answered within the interval', () => {
    const setting = handAdmission()
    overload(setting, 0.5)
    expect(fill(setting.admission, 150, 150)).toBe(150)
    setting.loop.endTurn(75)
    expect(setting.admission.overloaded).toBe(true)
    expect(fill(setting.admission, 500, 500)).toBeLessThan(150)
    expect(setting.admission.door('b', 'report').admit(FOR_EVER, 1)).toBe('overload')
  })

  it('sheds reports first, and lets them have half of what may be in flight', () => {
    const setting = handAdmission({ maxInFlight: 10 })
    const checks = setting.admission.door('a', 'check')
    const reports = setting.admission.door('b', 'report')
    expect(Array.from({ length: 6 }, () => reports.admit(FOR_EVER)).at(-1)).toBe('in_flight')
    expect(Array.from({ length: 6 }, () => checks.admit(FOR_EVER)).map((refusal) => refusal ?? 'in')).toEqual([
      ...Array(5).fill('in'),
      'in_flight',
    ])
    for (let call = 0; call < 10; call++) checks.end()
    setting.loop.endTurn()
    overload(setting)
    expect([reports.admit(FOR_EVER), checks.admit(FOR_EVER)]).toEqual(['overload', undefined])
  })

  it('drops what has waited for longer than its caller does: before its turn, and in it', () => {
    const { admission, loop } = handAdmission()
    const door = admission.door('a', 'check')
    loop.lateMs = 60
    expect([door.admit(50), door.admit(100)]).toEqual(['deadline', undefined])
    loop.work(30)
    expect(admission.waitedMs()).toBe(90)
    expect([door.admit(80), door.admit(100)]).toEqual(['deadline', undefined])
    loop.work(10)
    expect(door.admit(100)).toBe('deadline')
    loop.endTurn()
    loop.lateMs = 0
    expect([admission.waitedMs(), door.admit(1)]).toEqual([0, undefined])
  })

  it('counts what it sheds by door and reason', async () => {
    const { admission, meter, loop } = handAdmission({ maxInFlight: 1 })
    const door = admission.door('a', 'check')
    door.admit(FOR_EVER)
    door.admit(FOR_EVER)
    loop.lateMs = 10
    loop.endTurn()
    door.admit(5)
    const text = await meter.render()
    expect(text).toContain('intermix_shed_total{door="a",reason="in_flight"} 1')
    expect(text).toContain('intermix_shed_total{door="a",reason="deadline"} 1')
    expect(text).toContain('intermix_shed_total{door="a",reason="overload"} 0')
  })

  it('tells how many checks a second come, those that are refused among them', async () => {
    const { admission, loop } = handAdmission({ maxInFlight: 1 })
    const doors = { check: admission.door('c', 'check'), report: admission.door('r', 'report') }
    expect(admission.checksPerSecond()).toBe(0)
    for (let tick = 0; tick < 1_000; tick++) {
      for (let call = 0; call < 3; call++) doors.check.admit(FOR_EVER)
      doors.report.admit(FOR_EVER)
      await loop.clock.advance(10)
      if (tick % 50 === 0) admission.checksPerSecond()
      loop.endTurn()
    }
    expect(admission.checksPerSecond()).toBeCloseTo(300, 0)
    // Those who ask often see the same.
    expect(admission.checksPerSecond()).toBeCloseTo(300, 0)
    await loop.clock.advance(10_000)
    expect(admission.checksPerSecond()).toBeLessThan(1)
  })

  it('never has more in flight than it may, and refuses only when it has as many', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.constantFrom('check', 'report', 'end'), { maxLength: 200 }),
        (maxInFlight, steps) => {
          const { admission, loop } = handAdmission({ maxInFlight })
          const doors = { check: admission.door('c', 'check'), report: admission.door('r', 'report') }
          let inFlight = 0
          for (const step of steps) {
            if (step === 'end') {
              if (inFlight === 0) continue
              doors.check.end()
              inFlight--
            } else {
              const refusal = doors[step].admit(FOR_EVER)
              const bound = step === 'report' ? maxInFlight / 2 : maxInFlight
              expect(refusal).toBe(inFlight >= bound ? 'in_flight' : undefined)
              if (refusal === undefined) inFlight++
            }
            expect(inFlight).toBeLessThanOrEqual(maxInFlight)
            loop.endTurn()
          }
        },
      ),
    )
  })
})

/** A server of one loop: calls cost `costMs` and refusals `shedMs`; callers go after 200 ms. Times in ms. */
function simulate(load: number, costMs: number, shedMs: number, seed: number) {
  const { admission, loop } = handAdmission()
  const door = admission.door('a', 'check')
  const random = seededRandom(seed)
  const endAt = 10_000
  const settledAt = 1_000
  const result = { offered: 0, inTime: 0, late: 0, slowestShedMs: 0 }
  let nextAt = 0
  while (loop.now < endAt) {
    if (nextAt > loop.now) loop.rest(nextAt - loop.now)
    // The sockets are read once a turn: what has come by then.
    const startedAt = loop.now
    const read: number[] = []
    for (; nextAt <= startedAt; nextAt += -Math.log(1 - random()) * (costMs / load)) read.push(nextAt)
    loop.lateMs = startedAt - (read[0] ?? startedAt)
    const let_in: number[] = []
    for (const at of read) {
      if (door.admit(200) === undefined) let_in.push(at)
      else {
        loop.work(shedMs)
        if (at > settledAt) result.slowestShedMs = Math.max(result.slowestShedMs, loop.now - at)
      }
    }
    for (const at of let_in) {
      loop.work(costMs)
      door.end()
      if (at > settledAt) result[loop.now - at < 200 ? 'inTime' : 'late']++
    }
    result.offered += read.filter((at) => at > settledAt).length
    loop.endTurn()
  }
  return { ...result, goodput: (result.inTime * costMs) / (endAt - settledAt) }
}

describe('a server of one loop under admission', () => {
  it('answers all that comes below its capacity', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.1, max: 0.9, noNaN: true }), fc.integer(), (load, seed) => {
        const { offered, inTime } = simulate(load, 0.07, 0.01, seed)
        expect(inTime).toBe(offered)
      }),
      { numRuns: 20 },
    )
  })

  it('keeps nine tenths of it in any overload when refusing is cheap, and refuses within 20 ms', () => {
    fc.assert(
      fc.property(fc.double({ min: 1.2, max: 3, noNaN: true }), fc.integer(), (load, seed) => {
        const { goodput, late, slowestShedMs } = simulate(load, 0.07, 0.07 / 25, seed)
        expect(goodput).toBeGreaterThan(0.9)
        expect(late).toBe(0)
        expect(slowestShedMs).toBeLessThan(20)
      }),
      { numRuns: 20 },
    )
  })

  it('gives what refusing leaves over when that is dear', () => {
    // With g calls answered and 3 − g refused a call's time each: g + (3 − g) / 5 = 1.
    const { goodput, late } = simulate(3, 0.07, 0.07 / 5, 1)
    expect(goodput).toBeGreaterThan(0.9 * ((1 - 3 / 5) / (1 - 1 / 5)))
    expect(late).toBe(0)
  })
})

describe('the log of shed calls', () => {
  it('has one line when it begins and one when it has ended', async () => {
    const { admission, log, loop } = handAdmission({ maxInFlight: 1 })
    const { clock } = loop
    const door = admission.door('a', 'check')
    door.admit(FOR_EVER)
    for (let second = 0; second < 20; second++) {
      for (let call = 0; call < 100; call++) door.admit(FOR_EVER)
      await clock.advance(1_000)
    }
    expect(log.lines).toEqual([expect.stringMatching(/^warn: shedding calls.*--max-in-flight/)])
    await clock.advance(10_000)
    expect(log.lines.slice(1)).toEqual([expect.stringMatching(/^info: calls are not shed any more/)])
    door.admit(FOR_EVER)
    expect(log.lines).toHaveLength(3)
  })
})
