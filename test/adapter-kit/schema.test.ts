import { describe, expect, it } from 'vitest'
import { goDuration, httpUrl, statusCode } from '../../src/adapter-kit/schema.ts'
import { Code } from '../../src/kernel/status.ts'

describe('goDuration', () => {
  it.each([
    ['30s', 30_000],
    ['1h5m', 3_900_000],
    ['1.5ms', 1.5],
    ['0', 0],
  ])('reads %s as %d ms', (text, ms) => {
    expect(goDuration().parse(text)).toBe(ms)
  })

  it('refuses text without a unit, negative durations and what is out of bounds, and says what would be right', () => {
    expect(goDuration().safeParse('30').error?.issues[0]?.message).toContain('such as "30s"')
    expect(goDuration().safeParse('-1s').success).toBe(false)
    expect(goDuration({ minMs: 1_000 }).safeParse('999ms').error?.issues[0]?.message).toContain('from 1s to 8760h')
    expect(goDuration().safeParse(30).success).toBe(false)
  })

  it('takes defaults in milliseconds', () => {
    expect(goDuration().default(5_000).parse(undefined)).toBe(5_000)
  })
})

describe('httpUrl', () => {
  it('takes addresses of http and https, and says of others what they must be', () => {
    expect(httpUrl().parse('http://opa.prod:8181/x')).toBe('http://opa.prod:8181/x')
    for (const url of ['ftp://opa', 'opa:8181', ''])
      expect(httpUrl().safeParse(url).error?.issues[0]?.message).toContain('begins with http:// or https://')
  })
})

describe('statusCode', () => {
  it('reads numbers and names, whatever the letter case', () => {
    expect(statusCode().parse(7)).toBe(Code.PERMISSION_DENIED)
    expect(statusCode().parse('permission_denied')).toBe(Code.PERMISSION_DENIED)
  })

  it.each([17, -1, 1.5, 'DENIED', 'constructor'])('refuses %s', (value) => {
    expect(statusCode().safeParse(value).success).toBe(false)
  })
})
