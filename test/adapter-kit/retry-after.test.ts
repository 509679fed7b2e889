import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { retryAfterMs } from '../../src/adapter-kit/retry-after.ts'

const NOW = Date.UTC(2026, 0, 15, 12)
const read = (text: string) => retryAfterMs(new Headers({ 'retry-after': text }), NOW)

describe('Retry-After', () => {
  it('is read as seconds and as a date in each of the three forms', () => {
    expect(read('120')).toBe(120_000)
    expect(read(' 0 ')).toBe(0)
    expect(read('Thu, 15 Jan 2026 12:01:00 GMT')).toBe(60_000)
    expect(read('Thursday, 15-Jan-26 12:01:00 GMT')).toBe(60_000)
    expect(read('Thu Jan 15 12:01:00 2026')).toBe(60_000)
    expect(read('Thu, 15 Jan 2026 11:59:00 GMT')).toBe(0)
  })

  it.each(['', '-1', '1.5', 'soon', '1e3', '2026-01-15T12:01:00Z', 'Xyz, 99 Jan 2026 12:00:00 GMT'])(
    'says nothing as %j',
    (text) => expect(read(text)).toBeUndefined(),
  )

  it('gives a finite time of at least 0, whatever stands there', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary-ascii' }), fc.integer().map(String)), (text) => {
        const clean = text.replace(/[^\x20-\x7e]/g, '')
        const ms = read(clean) ?? 0
        expect(ms).toBeGreaterThanOrEqual(0)
        expect(Number.isFinite(ms)).toBe(true)
      }),
    )
  })
})
