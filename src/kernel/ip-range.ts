// Ranges of IP addresses as settings give them: CIDR, or single addresses.

import { isIP } from 'node:net'

/** Loopback and private networks, where proxies of the same operator usually are. */
export const PRIVATE_RANGES: readonly string[] = [
  '127.0.0.0/8',
  '::1/128',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
]

export interface IpRange {
  /** Its bits behind the prefix say nothing. */
  readonly address: string
  readonly prefixLength: number
  readonly family: 'ipv4' | 'ipv6'
}

/** Reads `10.0.0.0/8`, `fd00::/8` or one address. @returns `undefined` where the text is none of these; zones are refused. */
export function parseIpRange(text: string): IpRange | undefined {
  const [address = '', bits, ...rest] = text.split('/')
  const version = isIP(address)
  const width = version === 6 ? 128 : 32
  const prefixLength = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : width + 1
  if (version === 0 || address.includes('%') || rest.length > 0 || prefixLength > width) return undefined
  return { address, prefixLength, family: version === 6 ? 'ipv6' : 'ipv4' }
}
