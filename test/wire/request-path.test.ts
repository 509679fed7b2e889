import { describe, expect, it } from 'vitest'
import { queryParamsOf } from '../../src/wire/request-path.ts'

describe('query parameters', () => {
  it.each([
    ['/a?x=%ff', '\ufffd'],
    ['/a?x=%25ff', '%ff'],
    ['/a?x=100%', '100%'],
    ['/a?x=%zz+%C3%AB', '%zz ë'],
    ['/a?x=%ED%A0%80', '\ufffd\ufffd\ufffd'],
  ])('are decoded as the URL standard says, and well-formed whatever comes: %s', (path, value) => {
    expect(queryParamsOf(path)?.get('x')).toBe(value)
    expect(new URLSearchParams(path.slice(3)).get('x')).toBe(value)
  })

  it('are well-formed beside characters that are not escaped', () => {
    expect(queryParamsOf('/a?x=ë%ff')?.get('x')).toBe('ë\ufffd')
  })
})
