// Which callers are proxies of ours, whose X-Forwarded-* headers and query parameters are the operator's words.

import { BlockList, isIP, isIPv6 } from 'node:net'
import { IntermixError } from '../kernel/errors.ts'

/** Loopback and private networks, where proxies of the same operator usually are. */
const DEFAULT_RANGES: readonly string[] = [
  '127.0.0.0/8',
  '::1/128',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  'fc00::/7',
]

/**
 * Tells whether an address is one of the ranges (CIDR or single addresses). No address at all is a Unix socket, which
 * only processes of this machine reach: trusted.
 * @throws IntermixError INVALID_SETTING that names every range that is not one.
 */
export function trustedPeers(ranges: readonly string[] = DEFAULT_RANGES): (address: string | undefined) => boolean {
  const list = new BlockList()
  const wrong = ranges.filter((range) => !addRange(list, range))
  if (wrong.length > 0) {
    throw new IntermixError('INVALID_SETTING', `not CIDR ranges such as 10.0.0.0/8: ${wrong.join(', ')}`)
  }
  return (address) => {
    if (address === undefined) return true
    const zone = address.indexOf('%')
    const bare = zone < 0 ? address : address.slice(0, zone)
    const folded = bare.startsWith('::ffff:') && bare.includes('.') ? bare.slice(7) : bare
    return list.check(folded, isIPv6(folded) ? 'ipv6' : 'ipv4')
  }
}

function addRange(list: BlockList, range: string): boolean {
  const [address = '', bits, ...rest] = range.split('/')
  const family = isIP(address)
  const width = family === 6 ? 128 : 32
  const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (family === 0 || rest.length > 0 || length < 0 || length > width) return false
  list.addSubnet(address, length, family === 6 ? 'ipv6' : 'ipv4')
  return true
}
