// One spelling for all spellings of a host: RFC 3986, section 3.2.2, and what HTTP servers make of it.

import { formatIp, parseIp } from '../kernel/ip-address.ts'
import { AmbiguousRequest, quoted } from './ambiguity.ts'

/**
 * The normal form of a host with its port, as the `Host` header and `:authority` have it: lower case, without the dot of a
 * full name, IPv6 as RFC 5952 writes it, the port in decimal and left out where it is 80 or 443. Both are left out whatever
 * the scheme: behind a proxy that ends TLS nobody knows the client's, and no server tells two hosts apart by them. Other
 * ports stay. Names in Punycode stay as they are. A host that is empty stays empty.
 * @throws AmbiguousRequest for what no host can be: user names, escapes, several hosts, characters outside of ASCII, empty
 * labels.
 */
export function normalHost(host: string): string {
  if (host === latest.host) return latest.normal
  const normal = isNormal(host) ? host : normalized(host)
  latest = { host, normal }
  return normal
}

/** A server mostly gets the same one. */
let latest = { host: '', normal: '' }

function normalized(host: string): string {
  const [, address, name = '', port] = HOST.exec(host) ?? refuse(host)
  const base = address === undefined ? normalName(name, host) : normalAddress(address, host)
  return `${base}${normalPort(port, host)}`
}

const HOST = /^(?:\[([^\]]*)\]|([\w.~-]+))(?::(\d*))?$/
const DOT = 0x2e
const COLON = 0x3a
const ZERO = 0x30
/** 1 for what a name in normal form may hold. */
const PLAIN = Uint8Array.from({ length: 128 }, (_, code) => (/[a-z0-9._~-]/.test(String.fromCharCode(code)) ? 1 : 0))
const LEFT_OUT: ReadonlySet<number> = new Set([80, 443])

/** Whether nothing is to be done; `false` may be said of a host in normal form too. */
function isNormal(host: string): boolean {
  let before = DOT
  for (let at = 0; at < host.length; at++) {
    const code = host.charCodeAt(at)
    if (code === COLON) return before !== DOT && isNormalPort(host, at + 1)
    if (PLAIN[code] !== 1 || (code === DOT && before === DOT)) return false
    before = code
  }
  return before !== DOT || host === ''
}

function isNormalPort(host: string, start: number): boolean {
  let port = 0
  for (let at = start; at < host.length; at++) {
    const digit = host.charCodeAt(at) - ZERO
    if (digit < 0 || digit > 9 || (digit === 0 && at === start)) return false
    port = port * 10 + digit
  }
  return port > 0 && port <= 65_535 && !LEFT_OUT.has(port)
}

function normalName(name: string, host: string): string {
  const short = (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase()
  return short.split('.').includes('') ? refuse(host) : short
}

function normalAddress(address: string, host: string): string {
  const bytes = parseIp(address)
  if (bytes?.length !== 16) return refuse(host)
  const text = formatIp(bytes)
  return text.includes(':') ? `[${text}]` : text
}

function normalPort(digits: string | undefined, host: string): string {
  if (digits === undefined || digits === '') return ''
  const port = Number(digits)
  if (port > 65_535) return refuse(host)
  return LEFT_OUT.has(port) ? '' : `:${port}`
}

function refuse(host: string): never {
  throw new AmbiguousRequest('host', `${quoted(host)} is not a host`)
}
