import { describe, expect, it } from 'vitest'
import { reasonOf } from '../../../src/adapter-kit/exporter/failure-class.ts'

function withStack<E extends Error>(error: E, ...lines: string[]): E {
  return Object.assign(error, {
    stack: [`${error.name}: ${error.message}`, ...lines.map((line) => `    ${line}`)].join('\n'),
  })
}

describe('the reason of a failure', () => {
  it('leads to the line of the module where an adapter has a mistake', () => {
    const error = withStack(
      new SyntaxError('"undefined" is not valid JSON'),
      'at JSON.parse (<anonymous>)',
      'at send (file:///srv/audit.mts:25:36)',
      'at file:///app/dist/chain.js:1:1',
    )
    expect(reasonOf(error)).toBe('SyntaxError: "undefined" is not valid JSON (at send (file:///srv/audit.mts:25:36))')
  })

  it('is the text of an error that the adapter or a backend has made, or of one from nowhere', () => {
    expect(reasonOf(withStack(new Error('HTTP 503'), 'at file:///srv/audit.mts:25:36'))).toBe('HTTP 503')
    expect(reasonOf(withStack(new TypeError('fetch failed'), 'at node:internal/deps/undici/undici:1:1'))).toBe(
      'fetch failed',
    )
    expect(reasonOf('away')).toBe('away')
    expect(reasonOf(new Error('x'.repeat(5_000)))).toHaveLength(1_000)
  })
})
