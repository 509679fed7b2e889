// IPs as Envoy writes them.

import { parseIp } from '../kernel/ip-address.ts'

/** The IP that a text is, IPv6 zones dropped; absent for names. */
export function ipOfText(text: string): Uint8Array | undefined {
  const zone = text.indexOf('%')
  return parseIp(zone < 0 ? text : text.slice(0, zone))
}
