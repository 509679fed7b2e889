// IP and port of Envoy's address message.

import { parseIp } from '../kernel/ip-address.ts'
import type { Address } from './generated/envoy/config/core/v3/address_pb.ts'

/** The IP of a socket address, IPv6 zones dropped; absent for pipes and names. */
export function ipOf(address: Address | undefined): Uint8Array | undefined {
  return address?.address.case === 'socketAddress' ? ipOfText(address.address.value.address) : undefined
}

/** The IP that a text is, IPv6 zones dropped. */
export function ipOfText(text: string): Uint8Array | undefined {
  const zone = text.indexOf('%')
  return parseIp(zone < 0 ? text : text.slice(0, zone))
}

/** The port of a socket address; absent for pipes and where it is 0. */
export function portOf(address: Address | undefined): bigint | undefined {
  if (address?.address.case !== 'socketAddress') return undefined
  const port = address.address.value.portValue
  return port === 0 ? undefined : BigInt(port)
}
