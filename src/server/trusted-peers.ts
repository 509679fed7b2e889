// Which callers are proxies of ours, whose X-Forwarded-* headers and query parameters are the operator's words.

import { BlockList, isIPv6 } from 'node:net'
import { IntermixError } from '../kernel/errors.ts'
import { parseIpRange, PRIVATE_RANGES } from '../kernel/ip-range.ts'

/**
 * Tells whether an address is one of the ranges (CIDR or single addresses). No address at all is a Unix socket, which
 * only processes of this machine reach: trusted.
 * @throws IntermixError INVALID_SETTING that names every range that is not one.
 */
export function trustedPeers(ranges: readonly string[] = PRIVATE_RANGES): (address: string | undefined) => boolean {
  const list = new BlockList()
  const wrong: string[] = []
  for (const text of ranges) {
    const range = parseIpRange(text)
    if (range === undefined) wrong.push(text)
    else list.addSubnet(range.address, range.prefixLength, range.family)
  }
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
