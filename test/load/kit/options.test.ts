import { describe, expect, it } from 'vitest'
import { LOAD_OPTIONS, readLoad, readRate } from '../../../load/kit/load-options.ts'
import { readH2load } from '../../../load/kit/h2load.ts'

const defaults = Object.fromEntries(
  Object.entries(LOAD_OPTIONS).flatMap(([name, option]) => ('default' in option ? [[name, option.default]] : [])),
)

describe('the options of a load', () => {
  it('are a closed loop unless a rate is given', () => {
    expect(readLoad(defaults)).toMatchObject({
      pace: { kind: 'closed', inFlight: 64, seconds: 12 },
      doors: [{ door: 'ext_authz', share: 1 }],
      keys: { count: 100, zipf: 1, fresh: 0 },
    })
    expect(readLoad({ ...defaults, rate: '100' })).toMatchObject({
      pace: {
        kind: 'open',
        phases: [
          { from: 100, to: 100, seconds: 2 },
          { from: 100, to: 100, seconds: 10 },
        ],
      },
    })
  })

  it('mix doors by share', () => {
    expect(readLoad({ ...defaults, door: 'mixer:3,http' }).doors).toEqual([
      { door: 'mixer', share: 3 },
      { door: 'http', share: 1 },
    ])
  })

  it('have rates in phases: steady, ramps, of their own length or of what is left', () => {
    expect(readRate('100-900@30,900,50.5', 50, 0)).toEqual([
      { from: 100, to: 900, seconds: 30 },
      { from: 900, to: 900, seconds: 10 },
      { from: 50.5, to: 50.5, seconds: 10 },
    ])
  })

  it.each([
    [{ door: 'soap' }, '--door soap: must be one of http, mixer, ext_authz, rls, rls3, batch'],
    [{ door: 'http:none' }, '--door http:none: the share must be a number above 0'],
    [{ rate: 'fast' }, '--rate fast: must be like 5000, 100-9000 or 5000@20'],
    [{ rate: '5@10,6' }, '--rate 5@10,6: its phases leave nothing of the 10 s of --seconds'],
    [{ keys: '0' }, '--keys 0: must be a number from 1 to 100000000'],
    [{ zipf: '' }, '--zipf : must be a number from 0 to 10'],
    [{ request: 'small' }, '--request small: must be one of mesh, bare'],
  ])('are refused by name: %j', (wrong, message) => {
    expect(() => readLoad({ ...defaults, ...wrong })).toThrow(message)
  })
})

describe('what h2load prints', () => {
  it('is read', () => {
    const output = `finished in 5.00s, 5411.20 req/s, 1.33MB/s
requests: 27056 total, 27312 started, 27056 done, 27056 succeeded, 0 failed, 0 errored, 0 timeout`
    expect(readH2load(output)).toEqual({ done: 27_056, rate: 5_411 })
    expect(() => readH2load('connect failed')).toThrow(/no figures:\nconnect failed/)
  })
})
