// One spelling for all spellings of a path: RFC 3986, sections 5.2.4 (dot segments) and 6.2.2 (escapes), and `//` as `/`.

import { AmbiguousRequest, type PathAmbiguity, quoted, refuseUnless } from './ambiguity.ts'

/**
 * The normal form of a path with its query, as a request line in origin-form has it. A path that is in it already is
 * handed back after one look at each character.
 *
 * - Escapes of what may stand in a segment as it is are decoded: the unreserved characters, as RFC 3986 has it, and further
 *   `! $ & ' ( ) * + , = : @`, since servers route by the decoded path and so serve `/a%3Ab` for `/a:b`. Never decoded are
 *   `/ ? # [ ] %`, and `;`, which begins a parameter on some servers only. Other escapes have capital digits, and are
 *   decoded once: `%252e` stays.
 * - What may not stand in a path is escaped.
 * - `.` and `..` are resolved, at the root without effect; then `//` becomes `/`.
 * - The query stays as it is; an empty one is left out.
 * - `*` stays, and text that begins with no slash, which no HTTP server takes for a path, gets none.
 *
 * What an allowed ambiguity becomes: an escape stays one, with capital digits; a backslash, a control character, a lone `%`
 * and what is not ASCII (as UTF-8) become escapes; a dot segment or an empty one with a parameter is a segment like any
 * other; `..` takes an empty segment back.
 *
 * @param dots `keep` leaves `..` where it is: the path as a server sees it that resolves nothing.
 * @throws AmbiguousRequest for what is not allowed, and for a fragment and half a surrogate pair always.
 */
export function normalPath(path: string, allowed: ReadonlySet<PathAmbiguity>, dots: Dots = 'resolve'): string {
  if (isNormal(path) || path === '*') return path
  const hash = path.indexOf('#')
  if (hash >= 0) throw new AmbiguousRequest('path', `the path holds a fragment: ${quoted(path.slice(hash))}`)
  const mark = path.indexOf('?')
  const raw = mark < 0 ? path : path.slice(0, mark)
  const query = mark < 0 || mark === path.length - 1 ? '' : path.slice(mark)
  return tidySegments(normalEscapes(raw, allowed), allowed, dots) + query
}

/** What becomes of `..` in a path. */
export type Dots = 'resolve' | 'keep'

const SLASH = 0x2f
const DOT = 0x2e
const SEMICOLON = 0x3b
const QUERY = 0x3f

/** 1 where a character may stand in a path in normal form whatever is beside it. `/` is 1 too. */
const PLAIN = Uint8Array.from({ length: 128 }, (_, code) =>
  /[\w.~!$&'()*+,;=:@/-]/.test(String.fromCharCode(code)) ? 1 : 0,
)

/** Whether nothing is to be done; `false` may be said of a path in normal form too. */
function isNormal(path: string): boolean {
  if (path.charCodeAt(0) !== SLASH) return false
  let before = 0
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at)
    if (code === QUERY) return at + 1 < path.length && !path.includes('#', at)
    if (PLAIN[code] !== 1 || (before === SLASH && (code === SLASH || code === DOT || code === SEMICOLON))) return false
    before = code
  }
  return true
}

/** An escape, or a character that is not plain; surrogate pairs in one. */
const ODD = /%[0-9A-Fa-f]{2}|[^\w.~!$&'()*+,;=:@/-]/gu
const DECODED = /^[\w.~!$&'()*+,=:@-]$/
/** Two bytes for what one can say, three for what two can, four for what three can. */
const OVERLONG = /%(?:C[01]|E0%[89]|F0%8)/

function normalEscapes(path: string, allowed: ReadonlySet<PathAmbiguity>): string {
  const escaped = path.replace(ODD, (odd) => {
    if (odd.length === 3) return normalEscape(odd, allowed)
    if (odd === '%') {
      refuseUnless(allowed, 'bad-escape', odd)
      return '%25'
    }
    return escapeOf(odd, allowed)
  })
  const overlong = OVERLONG.exec(escaped)?.[0]
  if (overlong !== undefined) refuseUnless(allowed, 'overlong', overlong)
  return escaped
}

function normalEscape(escape: string, allowed: ReadonlySet<PathAmbiguity>): string {
  const code = Number.parseInt(escape.slice(1), 16)
  if (code === SLASH) refuseUnless(allowed, 'encoded-slash', escape)
  const character = String.fromCharCode(code)
  if (DECODED.test(character)) return character
  refuseReadInTwoWays(code, escape, allowed)
  return escape.toUpperCase()
}

/** A character that may not stand in a path, as an escape. */
function escapeOf(character: string, allowed: ReadonlySet<PathAmbiguity>): string {
  if (!character.isWellFormed()) {
    throw new AmbiguousRequest('path', 'the path holds half a surrogate pair, which is no character')
  }
  const code = character.codePointAt(0) ?? 0
  refuseReadInTwoWays(code, character, allowed)
  if (code > 0x7f) refuseUnless(allowed, 'non-ascii', character)
  return encodeURIComponent(character)
}

function refuseReadInTwoWays(code: number, part: string, allowed: ReadonlySet<PathAmbiguity>): void {
  if (code === 0x5c) refuseUnless(allowed, 'backslash', part)
  if (code < 0x20 || code === 0x7f) refuseUnless(allowed, 'control', part)
}

/** A dot segment or an empty one, and a parameter. */
const PARAMETER_FIRST = /^\.{0,2}(?:;|%3B)/

/** Resolves dot segments (RFC 3986, section 5.2.4), then leaves empty segments out. */
function tidySegments(path: string, allowed: ReadonlySet<PathAmbiguity>, dots: Dots): string {
  const segments = path.split('/')
  const root = segments[0] === '' && segments.length > 1 ? '/' : ''
  if (root !== '') segments.shift()
  for (const [at, segment] of segments.entries()) {
    // Behind a slash at the end a parameter changes nothing that precedes it, and `/;jsessionid=1` is usual.
    const isEmpty = segment.charCodeAt(0) !== DOT
    if (PARAMETER_FIRST.test(segment) && !(isEmpty && at === segments.length - 1)) {
      refuseUnless(allowed, 'dot-parameter', segment)
    }
  }
  const resolved = withoutEmpty(withoutDots(segments))
  // A file system, and a server that merges slashes first, takes `/a//../b` for `/b`.
  if (segments.includes('..') && withoutDots(withoutEmpty(segments)).join('/') !== resolved.join('/')) {
    refuseUnless(allowed, 'dots-behind-slashes', path)
  }
  const last = segments.at(-1)
  const kept = dots === 'resolve' ? resolved : withoutEmpty(segments).filter((segment) => segment !== '.')
  const isFolder = (last === '' || last === '.' || last === '..') && kept.length > 0
  return `${root}${kept.join('/')}${isFolder ? '/' : ''}`
}

function withoutDots(segments: readonly string[]): string[] {
  const kept: string[] = []
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  return kept
}

function withoutEmpty(segments: readonly string[]): string[] {
  return segments.filter((segment) => segment !== '')
}
