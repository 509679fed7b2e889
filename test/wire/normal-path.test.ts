import { posix } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AmbiguousRequest, PATH_AMBIGUITY_NAMES, type PathAmbiguity } from '../../src/wire/ambiguity.ts'
import { normalPath } from '../../src/wire/normal-path.ts'
import { spellingsOf } from './path-spellings.ts'

const NONE: ReadonlySet<PathAmbiguity> = new Set()
const ALL: ReadonlySet<PathAmbiguity> = new Set(PATH_AMBIGUITY_NAMES)

function reasonOf(path: string, allowed = NONE): string {
  try {
    return `taken as ${normalPath(path, allowed)}`
  } catch (caught) {
    if (!(caught instanceof AmbiguousRequest)) throw caught
    return caught.ambiguity
  }
}

describe('normalPath', () => {
  it.each(['/admin', '/admin/s.txt', '/a:b/~c@d', '/v1/users(1),x=2', '/a.b/..c/.d'])(
    'knows every spelling of %s',
    (path) => {
      const spellings = spellingsOf(path)
      expect(spellings.length).toBeGreaterThan(70)
      expect(spellings.filter((spelling) => reasonOf(spelling) !== `taken as ${path}`)).toEqual([])
    },
  )

  it.each([
    ['/', '/'],
    ['/../admin', '/admin'],
    ['/../../x/../admin', '/admin'],
    ['/admin/', '/admin/'],
    ['/admin/.', '/admin/'],
    ['/admin/x/..', '/admin/'],
    ['/admin//', '/admin/'],
    ['/x/..', '/'],
    ['/admin;a=1/b', '/admin;a=1/b'],
    ['/;jsessionid=1', '/;jsessionid=1'],
    ['/admin/;a', '/admin/;a'],
    ['/a%3bb', '/a%3Bb'],
    ['/a%3fb%23c', '/a%3Fb%23c'],
    ['/a%5b1%5d', '/a%5B1%5D'],
    ['/a[1]', '/a%5B1%5D'],
    ['/100%25', '/100%25'],
    ['/%252e%252e/admin', '/%252e%252e/admin'],
    ['/%2561dmin', '/%2561dmin'],
    ['/caf%c3%a9', '/caf%C3%A9'],
    ['/a b"<>^`{|}', '/a%20b%22%3C%3E%5E%60%7B%7C%7D'],
    ['/a%21%24%26%27%28%29%2a%2B%2c%3A%3d%40', "/a!$&'()*+,:=@"],
    ['/...', '/...'],
    ['/a?b=/../c//d&e=%2f', '/a?b=/../c//d&e=%2f'],
    ['//a?//', '/a?//'],
    ['/a?', '/a'],
    ['/a??', '/a??'],
    ['*', '*'],
    ['', ''],
    ['orders/../x', 'x'],
  ])('takes %s as %s', (path, normal) => {
    expect(normalPath(path, NONE)).toBe(normal)
  })

  it.each([
    ['encoded-slash', '/a%2fb', '/a%2Fb'],
    ['encoded-slash', '/a%2F..%2fadmin', '/a%2F..%2Fadmin'],
    ['backslash', '/a\\..\\admin', '/a%5C..%5Cadmin'],
    ['backslash', '/a%5cb', '/a%5Cb'],
    ['control', '/admin%00.txt', '/admin%00.txt'],
    ['control', '/a%0d%0ab', '/a%0D%0Ab'],
    ['control', '/a\tb', '/a%09b'],
    ['control', '/a%7F', '/a%7F'],
    ['bad-escape', '/a%', '/a%25'],
    ['bad-escape', '/%zz', '/%25zz'],
    ['bad-escape', '/%6', '/%256'],
    ['bad-escape', '/%u002e', '/%25u002e'],
    ['overlong', '/%c0%af', '/%C0%AF'],
    ['overlong', '/%c0%ae%C0%ae/admin', '/%C0%AE%C0%AE/admin'],
    ['overlong', '/%e0%80%af', '/%E0%80%AF'],
    ['overlong', '/%F0%80%80%af', '/%F0%80%80%AF'],
    ['non-ascii', '/café', '/caf%C3%A9'],
    ['non-ascii', '/\u212a', '/%E2%84%AA'],
    ['dot-parameter', '/x/..;/admin', '/x/..;/admin'],
    ['dot-parameter', '/;/admin', '/;/admin'],
    ['dot-parameter', '/x//;a=1/admin', '/x/;a=1/admin'],
    ['dot-parameter', '/%3Ba/admin', '/%3Ba/admin'],
    ['dot-parameter', '/.;x/admin', '/.;x/admin'],
    ['dot-parameter', '/x/%2e%2E;a=1/admin', '/x/..;a=1/admin'],
    ['dot-parameter', '/x/..%3b/admin', '/x/..%3B/admin'],
    ['dots-behind-slashes', '/a//../b', '/a/b'],
    ['dots-behind-slashes', '/a//b/../../c', '/a/c'],
  ] as const)('refuses by %s %j, or takes it as %s where that is allowed', (reason, path, normal) => {
    expect(reasonOf(path)).toBe(reason)
    expect(reasonOf(path, new Set(PATH_AMBIGUITY_NAMES.filter((name) => name !== reason)))).toBe(reason)
    expect(normalPath(path, new Set([reason]))).toBe(normal)
    expect(normalPath(normal, new Set([reason]))).toBe(normal)
  })

  it.each(['/a#b', '/a?b#c', '/\ud800', '/a\udc00b'])('refuses %j whatever is allowed', (path) => {
    expect(reasonOf(path, ALL)).toBe('path')
  })

  it.each([
    ['/admin/../open', '/admin/../open'],
    ['/admin//%2e%2E/.//open/.', '/admin/../open/'],
    ['/../x', '/../x'],
    ['/x/..?a', '/x/../?a'],
    ['/a/./b', '/a/b'],
  ])('leaves the dots of %s where that is asked for, as %s', (path, kept) => {
    expect(normalPath(path, new Set(['dots-behind-slashes']), 'keep')).toBe(kept)
  })

  it('says what is ambiguous, and quotes no more of the path than that takes', () => {
    expect(() => normalPath('/a%2fb', NONE)).toThrow(
      'the path is ambiguous: "%2f" is an escaped slash, which some servers take for a slash (encoded-slash)',
    )
    expect(() => normalPath(`/${'a'.repeat(9_000)}//../b`, NONE)).toThrow(/^.{1,250}$/)
  })
})

/** Parts that matter to somebody's reading of a path. */
const PARTS = [
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2E',
  '%2f',
  '%5C',
  '\\',
  ';',
  '%3b',
  ':',
  '%3A',
  '%25',
  '%',
  '%61',
  'a',
  'b',
  '%00',
  '%c3%a9',
  '%c0%af',
  '%20',
  '~',
  '%7e',
]
const anyPath = fc
  .array(fc.constantFrom(...PARTS), { minLength: 1, maxLength: 14 })
  .map((parts) => `/${parts.join('')}`)

/** The file that a server opens which decodes and then tidies up; a slash at the end tells folders. */
function fileOf(path: string): string {
  const decode = (_: string, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))
  return posix.normalize(path.replace(/%([0-9a-f]{2})/gi, decode)).replace(/(.)\/$/, '$1')
}

/** The file that a server opens which resolves dot segments as browsers do, then decodes and merges slashes. */
function resourceOf(path: string): string {
  return fileOf(new URL(`http://host${path}`).pathname.replace(/\/{2,}/g, '/'))
}

describe('normalPath, for any path', () => {
  it('leads every server to the file that the path leads it to, and says it in one way', () => {
    let taken = 0
    fc.assert(
      fc.property(anyPath, (path) => {
        const reason = reasonOf(path)
        if (!reason.startsWith('taken as ')) return
        taken++
        const normal = normalPath(path, NONE)
        expect(normalPath(normal, NONE)).toBe(normal)
        expect(fileOf(normal)).toBe(fileOf(path))
        expect(resourceOf(path)).toBe(fileOf(path))
      }),
      { numRuns: 5_000 },
    )
    expect(taken).toBeGreaterThan(500)
  })

  it('has a fixed point where everything is allowed', () => {
    fc.assert(
      fc.property(fc.oneof(anyPath, fc.string({ unit: 'binary' })), (path) => {
        if (reasonOf(path, ALL) === 'path') return
        const normal = normalPath(path, ALL)
        expect(normalPath(normal, ALL)).toBe(normal)
      }),
      { numRuns: 5_000 },
    )
  })
})
