// IP addresses as bytes in network order (4 for IPv4, 16 for IPv6), and their text forms.

import { isIP, isIPv4 } from 'node:net'

const V4_IN_V6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** Reads a textual IPv4 or IPv6 address. @returns `undefined` where the text is not one; zones are refused. */
export function parseIp(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number)
  return isIP(text) === 6 && !text.includes('%') ? parseV6(text) : undefined
}

/** The usual text of an address (RFC 5952 for IPv6); bytes of another length are shown in hexadecimal. */
export function formatIp(bytes: Uint8Array): string {
  const folded = foldV4(bytes)
  if (folded.length === 4) return folded.join('.')
  if (folded.length !== 16) return Buffer.from(bytes).toString('hex')
  const words: number[] = []
  for (let i = 0; i < 16; i += 2) words.push(((folded[i] ?? 0) << 8) | (folded[i + 1] ?? 0))
  const [from, length] = longestZeroRun(words)
  if (length < 2) return words.map((word) => word.toString(16)).join(':')
  const text = (part: number[]) => part.map((word) => word.toString(16)).join(':')
  return `${text(words.slice(0, from))}::${text(words.slice(from + length))}`
}

/** Turns an IPv4 address that is mapped into IPv6 (`::ffff:1.2.3.4`) into its 4 bytes; others are handed back as is. */
export function foldV4(bytes: Uint8Array): Uint8Array {
  return bytes.length === 16 && V4_IN_V6.every((byte, i) => bytes[i] === byte) ? bytes.subarray(12) : bytes
}

/** Whether two addresses are the same one, IPv4 and IPv4 mapped into IPv6 taken as equal. */
export function equalIp(a: Uint8Array, b: Uint8Array): boolean {
  const left = foldV4(a)
  const right = foldV4(b)
  if (left.length !== right.length) return false
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false
  return true
}

function parseV6(text: string): Uint8Array {
  const lastColon = text.lastIndexOf(':')
  const tail = text.slice(lastColon + 1)
  let source = text
  if (isIPv4(tail)) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split('.').map(Number)
    source = `${text.slice(0, lastColon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  }
  const [head = '', rest] = source.split('::')
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)))
  const first = words(head)
  const last = rest === undefined ? [] : words(rest)
  const middle = new Array<number>(8 - first.length - last.length).fill(0)
  return Uint8Array.from([...first, ...middle, ...last].flatMap((word) => [word >> 8, word & 0xff]))
}

function longestZeroRun(words: readonly number[]): [from: number, length: number] {
  let best: [number, number] = [0, 0]
  let start = 0
  for (let i = 0; i < words.length; i++) {
    if (words[i] !== 0) start = i + 1
    else if (i + 1 - start > best[1]) best = [start, i + 1 - start]
  }
  return best
}

/** A host as sockets take it: an IPv6 address without the brackets that stand around it beside a port. */
export function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host
}
