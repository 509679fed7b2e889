// URIs as Go's `net/url` reads them, and Mixer's comparison of them.

import { EvaluationError } from '../compiled.ts'
import { equalDnsNames } from './dns-name.ts'

interface Uri {
  readonly scheme: string
  readonly opaque: string
  /** User information with its `@`; empty where there is none. */
  readonly user: string
  readonly hostName: string
  readonly port: string
  readonly host: string
  readonly path: string
  readonly query: string
  readonly fragment: string
}

/** Validates a URI reference that is not empty. @returns the text unchanged. */
export function uri(text: string): string | EvaluationError {
  if (text === '') return new EvaluationError('error converting string to uri: empty string')
  const parsed = parseUri(text)
  return typeof parsed === 'string' ? refusal(text, parsed) : text
}

/**
 * Whether two URIs are the same: schemes in any case; of http(s) hosts as DNS names and ports to the letter;
 * everything else textually, percent encoding normalised.
 */
export function equalUris(a: string, b: string): boolean | EvaluationError {
  const left = parseUri(a)
  if (typeof left === 'string') return refusal(a, left)
  const right = parseUri(b)
  if (typeof right === 'string') return refusal(b, right)
  if (left.scheme !== right.scheme) return false
  const web = left.scheme === 'http' || left.scheme === 'https'
  if (web) {
    const same = equalDnsNames(left.hostName, right.hostName)
    if (same !== true) return same
    if (left.port !== right.port) return false
  } else if (left.host !== right.host) {
    return false
  }
  return (['opaque', 'user', 'path', 'query', 'fragment'] as const).every((part) => left[part] === right[part])
}

function refusal(text: string, reason: string): EvaluationError {
  return new EvaluationError(`error converting string to uri '${text}': 'parse ${text}: ${reason}'`)
}

/** ASCII control characters. */
const CONTROL = /[\p{ASCII}&&\p{Cc}]/v

/** @returns the reason as text where it is not a URI. */
function parseUri(text: string): Uri | string {
  const [whole, fragment] = splitOnce(text, '#')
  if (CONTROL.test(text)) return 'net/url: invalid control character in URL'
  const found = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(whole)
  if (found === null && whole.startsWith(':')) return 'missing protocol scheme'
  const scheme = (found?.[1] ?? '').toLowerCase()
  const [hierarchy, query] = splitOnce(whole.slice(found?.[0].length ?? 0), '?')
  const tail = { query: query === undefined ? '' : `?${query}`, fragment: normalise(fragment ?? '', FRAGMENT) }
  if (badEscape(fragment ?? '') !== undefined) return badEscape(fragment ?? '') as string
  const empty = { opaque: '', user: '', hostName: '', port: '', host: '', path: '' }
  if (!hierarchy.startsWith('/') && scheme !== '') return { ...empty, scheme, ...tail, opaque: hierarchy }
  const colon = hierarchy.indexOf(':')
  const slash = hierarchy.indexOf('/')
  if (!hierarchy.startsWith('/') && colon >= 0 && (slash < 0 || colon < slash)) {
    return 'first path segment in URL cannot contain colon'
  }
  const hasAuthority = hierarchy.startsWith('//') && (scheme !== '' || !hierarchy.startsWith('///'))
  const end = hasAuthority ? hierarchy.indexOf('/', 2) : 0
  const authority = hasAuthority ? parseAuthority(hierarchy.slice(2, end < 0 ? undefined : end)) : {}
  if (typeof authority === 'string') return authority
  const path = end < 0 ? '' : hierarchy.slice(end)
  const wrong = badEscape(path)
  if (wrong !== undefined) return wrong
  return { ...empty, scheme, ...authority, path: normalise(path, PATH), ...tail }
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

type Authority = Pick<Uri, 'user' | 'host' | 'hostName' | 'port'>

function parseAuthority(text: string): Authority | string {
  const at = text.lastIndexOf('@')
  const user = text.slice(0, Math.max(at, 0))
  const host = text.slice(at + 1)
  const problem = hostProblem(host)
  if (problem !== undefined) return problem
  if (/[^A-Za-z0-9\-._:~!$&'()*+,;=%@]/.test(user)) return 'net/url: invalid userinfo'
  const wrong = badEscape(user)
  if (wrong !== undefined) return wrong
  const bracket = host.indexOf(']')
  const colon = host.indexOf(':', Math.max(bracket, 0))
  const name = colon < 0 ? host : host.slice(0, colon)
  return {
    user: at < 0 ? '' : `${normalise(user, USER)}@`,
    host: decode(host),
    hostName: decode(bracket < 0 ? name : name.slice(1, -1)),
    port: colon < 0 ? '' : host.slice(colon + 1),
  }
}

function hostProblem(host: string): string | undefined {
  let name = host
  if (host.startsWith('[')) {
    const end = host.lastIndexOf(']')
    if (end < 0) return "missing ']' in host"
    const port = host.slice(end + 1)
    if (!/^(:\d*)?$/.test(port)) return `invalid port ${JSON.stringify(port)} after host`
    name = host.slice(1, end)
    const zone = name.indexOf('%25')
    if (zone >= 0) {
      const wrong = badEscape(name.slice(zone))
      if (wrong !== undefined) return wrong
      name = name.slice(0, zone)
    }
  } else if (host.includes(':')) {
    const port = host.slice(host.lastIndexOf(':'))
    if (!/^:\d*$/.test(port)) return `invalid port ${JSON.stringify(port)} after host`
  }
  const escape = badEscape(name) ?? asciiEscape(name)
  if (escape !== undefined) return escape
  const character = /[ /?#@\\^`{|}]/.exec(name)?.[0]
  return character === undefined ? undefined : `invalid character ${JSON.stringify(character)} in host name`
}

function badEscape(text: string): string | undefined {
  const found = /%(?![0-9a-fA-F]{2}).{0,2}/u.exec(text)?.[0]
  return found === undefined ? undefined : `invalid URL escape ${JSON.stringify(found)}`
}

/** In host names only bytes outside of ASCII may be percent-encoded. */
function asciiEscape(text: string): string | undefined {
  const found = /%(?!25)[0-7][0-9a-fA-F]/.exec(text)?.[0]
  return found === undefined ? undefined : `invalid URL escape ${JSON.stringify(found)}`
}

/** Bytes that Go does not escape when it writes the part, and what it accepts in the part as it was written. */
interface Alphabet {
  readonly plain: RegExp
  readonly accepted: RegExp | undefined
}

const PATH: Alphabet = { plain: /[A-Za-z0-9\-_.~$&+,/:;=@]/, accepted: /^[A-Za-z0-9\-_.~!$&'()*+,;=:@[\]/%]*$/ }
const FRAGMENT: Alphabet = { plain: /[A-Za-z0-9\-_.~!()*$&+,/:;=?@]/, accepted: undefined }
const USER: Alphabet = { plain: /[A-Za-z0-9\-_.~$&+,;=:]/, accepted: undefined }

function normalise(text: string, alphabet: Alphabet): string {
  if (alphabet.accepted?.test(text) === true) return text
  let out = ''
  for (const byte of decodeBytes(text)) {
    const char = String.fromCharCode(byte)
    out += byte < 128 && alphabet.plain.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

function decode(text: string): string {
  return text.includes('%') ? Buffer.from(decodeBytes(text)).toString() : text
}

function decodeBytes(text: string): number[] {
  const bytes: number[] = []
  const source = Buffer.from(text)
  for (let i = 0; i < source.length; i++) {
    const escaped = source[i] === 37 ? Number.parseInt(source.toString('latin1', i + 1, i + 3), 16) : Number.NaN
    bytes.push(Number.isNaN(escaped) ? (source[i] ?? 0) : escaped)
    if (!Number.isNaN(escaped)) i += 2
  }
  return bytes
}
