import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RefusedRequest } from '../../src/kernel/refused-request.ts'
import { type DescribedTarget, describedTarget } from '../../src/server/described-target.ts'

const path = fc.constantFrom('/', '/admin', '/admin?x=1', '*', '', 'admin')
const host = fc.constantFrom('a.test', 'A.test', 'b.test', 'a.test:8080', '[::1]', '')
const url = fc
  .record({ scheme: fc.constantFrom('http', 'HTTPS', 'ftp'), host, path })
  .map((parts) => `${parts.scheme}://${parts.host}${parts.path}`)
const said = fc.dictionary(
  fc.constantFrom(
    'x-forwarded-uri',
    'x-forwarded-method',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-original-url',
    'x-original-uri',
    'x-original-method',
  ),
  fc.oneof(path, host, url, fc.constantFrom('GET', 'PUT', 'http', 'https', 'https, http', 'http,')),
  { noNullPrototype: true },
)

/** What is found, or `refused`. */
function read(headers: Readonly<Record<string, string>>): DescribedTarget | undefined | 'refused' {
  try {
    return describedTarget(new Map(Object.entries(headers)))
  } catch (caught) {
    if (caught instanceof RefusedRequest) return 'refused'
    throw caught
  }
}

const SOURCES = ['x-forwarded-uri', 'x-original-url', 'x-original-uri'] as const

describe('the target that headers describe', () => {
  it('is what each of the describing headers says on its own, or refused', () => {
    fc.assert(
      fc.property(said, (headers) => {
        const together = read(headers)
        if (together === 'refused') return
        const present = SOURCES.filter((name) => (headers[name] ?? '') !== '')
        expect(together === undefined).toBe(present.length === 0)
        for (const name of present) {
          const others = Object.entries(headers).filter(([other]) => !SOURCES.some((source) => source === other))
          const alone = read({ ...Object.fromEntries(others), [name]: headers[name] ?? '' })
          if (alone === 'refused' || alone === undefined || together === undefined)
            throw new Error(`${name} is not read`)
          expect(together.path).toBe(alone.path)
          if (alone.host !== undefined) expect(together.host?.toLowerCase()).toBe(alone.host.toLowerCase())
          if (alone.scheme !== undefined) expect(together.scheme).toBe(alone.scheme)
          if (alone.method !== undefined) expect(together.method).toBe(alone.method)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('does not change by headers of a client that the proxy does not know, unless it is refused', () => {
    const proxy = {
      'x-forwarded-uri': '/admin',
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'a.test',
      'x-forwarded-proto': 'https',
    }
    fc.assert(
      fc.property(said, (headers) => {
        const found = read({ ...headers, ...proxy })
        if (found !== 'refused')
          expect(found).toEqual({ path: '/admin', method: 'GET', host: 'a.test', scheme: 'https' })
      }),
      { numRuns: 2_000 },
    )
  })
})
