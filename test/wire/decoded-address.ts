// IP and port of Envoy's address message, as protobuf's own decoder gives it.

import { ipOfText } from '../../src/wire/envoy-address.ts'
import type { Address } from '../../src/wire/generated/envoy/config/core/v3/address_pb.ts'

/** The IP of a socket address, IPv6 zones dropped; absent for pipes and names. */
export function ipOf(address: Address | undefined): Uint8Array | undefined {
  return address?.address.case === 'socketAddress' ? ipOfText(address.address.value.address) : undefined
}

/** The port of a socket address; absent for pipes and where it is 0. */
export function portOf(address: Address | undefined): bigint | undefined {
  if (address?.address.case !== 'socketAddress') return undefined
  const port = address.address.value.portValue
  return port === 0 ? undefined : BigInt(port)
}
